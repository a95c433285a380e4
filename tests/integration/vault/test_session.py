"""Log-ins to a real Vault, by each way, and what becomes of their tokens."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hvac
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hvac.exceptions import Forbidden

from clients.secrets.resolver import Secrets
from clients.secrets.vault_session import VaultSession
from schemas.errors import DependencyUnavailable, VaultLoginRefused, WrappedSecretSpent
from schemas.settings import Settings
from schemas.settings.targets import VaultKvTarget
from schemas.settings.vault import VaultServer as Given
from tests.conftest import VaultServer
from tests.servers.sealable import OwnVault
from workers.wiring import Wiring

Keep = Callable[[str], str]


@pytest.fixture
def root(vault: VaultServer) -> hvac.Client:
    return hvac.Client(vault.address, vault.token_file.read_text())


@contextmanager
def session(address: str, login: dict[str, Any], ca_file: Path | None = None) -> Iterator[VaultSession]:
    given = Given.model_validate(
        {"address": address, "ca_file": str(ca_file) if ca_file else None, "login": login}
    )
    made = VaultSession("the test", given, Secrets())
    try:
        yield made
    finally:
        made.close()


def accessor(made: VaultSession) -> str:
    seen: str = made.ask(lambda client: client.auth.token.lookup_self())["data"]["accessor"]
    return seen


def lives(root: hvac.Client, one: str) -> bool:
    return one in root.auth.token.list_accessors()["data"]["keys"]


def approle(root: hvac.Client, keep: Keep, **role: object) -> tuple[str, dict[str, Any]]:
    mount = f"approle-{secrets.token_hex(4)}"
    root.sys.enable_auth_method("approle", path=mount)
    root.adapter.post(f"/v1/auth/{mount}/role/app", json={"token_policies": ["default"], **role})
    role_id = root.adapter.get(f"/v1/auth/{mount}/role/app/role-id")["data"]["role_id"]
    login = {"kind": "approle", "mount": mount, "role": "app", "role_id": keep(role_id)}
    return mount, login


def wrapped(root: hvac.Client, mount: str) -> str:
    answer = root.adapter.post(f"/v1/auth/{mount}/role/app/secret-id", wrap_ttl="10m")
    token: str = answer["wrap_info"]["token"]
    return token


def test_a_target_and_an_issuer_at_the_same_vault_share_one_log_in(
    vault: VaultServer, root: hvac.Client, kept: Keep
) -> None:
    """The wrapped secret ID is good for once, so a second log-in of its own would find it spent."""
    path = f"tls/{secrets.token_hex(4)}"
    policy = f'path "secret/+/{path}*" {{ capabilities = ["create", "read", "update", "delete", "list"] }}'
    root.sys.create_or_update_policy(path.replace("/", "-"), policy)
    mount, login = approle(root, kept, token_policies=["default", path.replace("/", "-")])
    server = {"address": vault.address, "login": {**login, "secret_id": kept(wrapped(root, mount))}}
    given = VaultKvTarget.model_validate({"kind": "vault-kv", "name": "kv", "vault": server, "path": path})
    wiring = Wiring(Settings())
    assert wiring.target(given).current() is None
    shared = wiring.vault(Given.model_validate(server))
    first = accessor(shared)
    root.auth.token.revoke_accessor(first)
    assert wiring.target(given).current() is None, "the secret ID is kept for the log-ins that follow"
    assert accessor(shared) != first
    shared.close()


def test_a_wrapped_secret_id_logs_in_again_and_again_and_the_token_ends_with_the_session(
    vault: VaultServer, root: hvac.Client, kept: Keep
) -> None:
    mount, login = approle(root, kept)
    with session(vault.address, {**login, "secret_id": kept(wrapped(root, mount))}) as made:
        first = accessor(made)
        assert accessor(made) == first
        root.auth.token.revoke_accessor(first)
        second = accessor(made)
        assert second != first
        assert lives(root, second)
    assert not lives(root, second)


def test_a_wrapped_secret_id_that_someone_has_unwrapped_is_an_alarm(
    vault: VaultServer, root: hvac.Client, kept: Keep
) -> None:
    mount, login = approle(root, kept)
    token = wrapped(root, mount)
    hvac.Client(vault.address, token).sys.unwrap()
    with (
        session(vault.address, {**login, "secret_id": kept(token)}) as made,
        pytest.raises(WrappedSecretSpent, match="someone else") as caught,
    ):
        accessor(made)
    assert token not in str(caught.value)


def test_a_wrapping_token_that_another_path_has_made_is_not_unwrapped(
    vault: VaultServer, root: hvac.Client, kept: Keep
) -> None:
    _, login = approle(root, kept)
    swapped = root.sys.wrap({"secret_id": "planted"})["wrap_info"]["token"]
    with (
        session(vault.address, {**login, "secret_id": kept(swapped)}) as made,
        pytest.raises(WrappedSecretSpent, match="swapped"),
    ):
        accessor(made)
    assert root.sys.unwrap(swapped)["data"] == {"secret_id": "planted"}


def test_a_secret_id_that_vault_does_not_know_is_refused(
    vault: VaultServer, root: hvac.Client, kept: Keep
) -> None:
    _, login = approle(root, kept)
    with (
        session(vault.address, {**login, "wrapped": False, "secret_id": kept("unknown-5d1c")}) as made,
        pytest.raises(VaultLoginRefused) as caught,
    ):
        accessor(made)
    assert "unknown-5d1c" not in str(caught.value)


def test_a_lease_is_renewed_and_at_its_maximum_another_log_in_follows(
    vault: VaultServer, root: hvac.Client, kept: Keep
) -> None:
    mount, login = approle(root, kept, token_ttl="1h", token_max_ttl="2h")
    with session(vault.address, {**login, "secret_id": kept(wrapped(root, mount))}) as made:
        first = accessor(made)
        made.renew()
        assert accessor(made) == first
        seen = made.ask(lambda client: client.auth.token.lookup_self())["data"]
        assert seen["last_renewal_time"]
        # What Vault grants at the maximum is short: as if the log-in had given four times as much.
        made._first_lease_s = 4 * seen["ttl"]
        made.renew()
        assert accessor(made) != first


def test_the_token_is_renewed_while_nobody_asks(vault: VaultServer, root: hvac.Client, kept: Keep) -> None:
    mount, login = approle(root, kept, token_ttl="6s", token_max_ttl="1h")
    with session(vault.address, {**login, "secret_id": kept(wrapped(root, mount))}) as made:
        seen = {accessor(made)}
        deadline = time.monotonic() + 60
        while True:  # whoever is slow finds another token, which is renewed as well
            now = root.auth.token.list_accessors()["data"]["keys"]
            if any(_renewed(root, one, mount) for one in now):
                break
            assert time.monotonic() < deadline, f"no token was renewed after {seen}"


def _renewed(root: hvac.Client, one: str, mount: str) -> bool:
    try:
        seen = root.auth.token.lookup_accessor(one)["data"]
    except (Forbidden, hvac.exceptions.VaultError):
        return False  # it has ended meanwhile
    return bool(seen["path"] == f"auth/{mount}/login" and seen.get("last_renewal"))


def test_a_token_of_the_owners_is_used_and_stays(vault: VaultServer, root: hvac.Client, kept: Keep) -> None:
    given = root.auth.token.create(policies=["default"], ttl="1h")["auth"]
    with session(vault.address, {"kind": "token", "token": kept(given["client_token"])}) as made:
        assert accessor(made) == given["accessor"]
        made.renew()
    assert lives(root, given["accessor"])


def test_what_a_policy_forbids_is_forbidden_and_costs_no_log_in(
    vault: VaultServer, root: hvac.Client, kept: Keep
) -> None:
    mount, login = approle(root, kept)
    with session(vault.address, {**login, "secret_id": kept(wrapped(root, mount))}) as made:
        first = accessor(made)
        with pytest.raises(Forbidden):
            made.ask(lambda client: client.adapter.get("/v1/sys/mounts"))
        assert accessor(made) == first


def test_a_platforms_token_logs_in(vault: VaultServer, root: hvac.Client, kept: Keep) -> None:
    mount, key = f"jwt-{secrets.token_hex(4)}", ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    root.sys.enable_auth_method("jwt", path=mount)
    root.adapter.post(f"/v1/auth/{mount}/config", json={"jwt_validation_pubkeys": [public.decode()]})
    role = {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["vault"],
        "token_policies": "default",
    }
    root.adapter.post(f"/v1/auth/{mount}/role/app", json=role)
    now = datetime.now(UTC)
    claims = {"sub": "redoubt", "aud": "vault", "iat": now, "exp": now + timedelta(hours=1)}
    login = {"kind": "jwt", "mount": mount, "role": "app"}
    with session(vault.address, {**login, "jwt": kept(jwt.encode(claims, key, "ES256"))}) as made:
        one = accessor(made)
    assert not lives(root, one)
    other = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256")
    with session(vault.address, {**login, "jwt": kept(other)}) as made, pytest.raises(VaultLoginRefused):
        accessor(made)


def test_a_client_certificate_logs_in(own_vault: OwnVault, tmp_path: Path) -> None:
    certificate, key = _client_certificate(tmp_path)
    own_vault.root.sys.enable_auth_method("cert")
    own_vault.root.adapter.post(
        "/v1/auth/cert/certs/app",
        json={"certificate": certificate.read_text(), "token_policies": "default"},
    )
    login = {"kind": "cert", "role": "app", "certificate_file": str(certificate), "key_file": str(key)}
    with session(own_vault.address, login, own_vault.ca_file) as made:
        one = accessor(made)
        assert lives(own_vault.root, one)
    assert not lives(own_vault.root, one)


def test_a_sealed_vault_is_tried_again_and_the_same_token_goes_on(own_vault: OwnVault, kept: Keep) -> None:
    given = own_vault.root.auth.token.create(policies=["default"], ttl="1h")["auth"]["client_token"]
    with session(own_vault.address, {"kind": "token", "token": kept(given)}, own_vault.ca_file) as made:
        first = accessor(made)
        own_vault.seal()
        with pytest.raises(DependencyUnavailable, match="sealed or away"):
            accessor(made)
        own_vault.unseal()
        assert accessor(made) == first


def _client_certificate(folder: Path) -> tuple[Path, Path]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redoubt")])
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), 1, now - timedelta(hours=1), now + timedelta(hours=1)
        )
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, key_file = folder / "client.pem", folder / "client-key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, key_file
