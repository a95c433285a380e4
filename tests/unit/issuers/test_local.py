"""What only the local CA promises: its root, its orders' files, what it refuses to sign."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from clients.issuers.local import LocalCa
from clients.keystores.software import SoftwareKeyStore
from clients.x509 import X509Reader
from schemas.errors import CaRefused, CaUnavailable, OrderInvalid, OrderLost
from schemas.settings.issuers import LocalIssuer

NAMES = ("www.example.com", "example.com")
MASTER = os.urandom(32)


def ca_in(folder: Path, name: str = "local", **given: object) -> LocalCa:
    settings = LocalIssuer.model_validate(
        {"kind": "local", "path": str(folder / "ca"), "key_store": "keys", **given}
    )
    return LocalCa(name, settings, SoftwareKeyStore("keys", folder / "keys", MASTER))


@pytest.fixture
def ca(tmp_path: Path) -> LocalCa:
    return ca_in(tmp_path)


def beat() -> None:
    """Nobody watches."""


def request(names: tuple[str, ...], key: object = None, extra: tuple[x509.GeneralName, ...] = ()) -> bytes:
    alternative = x509.SubjectAlternativeName([*(x509.DNSName(name) for name in names), *extra])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(alternative, critical=False)
    key = key or ec.generate_private_key(ec.SECP256R1())
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]  # any kind


def issue(ca: LocalCa, names: tuple[str, ...] = NAMES) -> x509.Certificate:
    url = ca.place_order(names).url
    assert ca.finalize(url, request(names), beat).status == "valid"
    return x509.load_pem_x509_certificate(ca.certificate(url))


def test_a_certificate_chains_to_the_root_and_serves_tls(ca: LocalCa) -> None:
    leaf = issue(ca)
    pem = leaf.public_bytes(serialization.Encoding.PEM)
    facts = X509Reader().read(pem, ca.trust_anchors())
    assert facts.chain_verified
    assert facts.names == NAMES
    assert facts.server_auth
    assert facts.issuer == "CN=Redoubt local CA"


def test_a_certificate_carries_what_a_verifier_looks_at(ca: LocalCa) -> None:
    leaf, root = issue(ca), x509.load_pem_x509_certificate(ca.trust_anchors())
    get = leaf.extensions.get_extension_for_class
    assert get(x509.SubjectAlternativeName).critical
    assert not get(x509.BasicConstraints).value.ca
    assert get(x509.KeyUsage).value.digital_signature
    assert not get(x509.KeyUsage).value.key_cert_sign
    assert list(get(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    root_id = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert get(x509.AuthorityKeyIdentifier).value.key_identifier == root_id
    assert get(x509.SubjectKeyIdentifier).value.digest != root_id
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(
        True, 0
    )


def test_serials_can_not_be_guessed(ca: LocalCa) -> None:
    serials = {issue(ca).serial_number for _ in range(20)}
    assert len(serials) == 20
    assert max(serials).bit_length() > 64


def test_validity_is_as_the_settings_say_and_within_the_root(tmp_path: Path) -> None:
    short = issue(ca_in(tmp_path, valid_days=3))
    assert (
        timedelta(days=3)
        <= short.not_valid_after_utc - short.not_valid_before_utc
        < timedelta(days=3, hours=1)
    )
    long = ca_in(tmp_path, valid_days=20_000)
    root = x509.load_pem_x509_certificate(long.trust_anchors())
    assert issue(long).not_valid_after_utc == root.not_valid_after_utc


def test_the_root_is_made_once(ca: LocalCa, tmp_path: Path) -> None:
    assert ca.trust_anchors() == ca.trust_anchors() == ca_in(tmp_path).trust_anchors()


def test_processes_that_begin_at_once_share_one_root(tmp_path: Path) -> None:
    (tmp_path / "master").write_bytes(MASTER)
    program = (
        "import sys; from pathlib import Path\n"
        "from clients.issuers.local import LocalCa\n"
        "from clients.keystores.software import SoftwareKeyStore\n"
        "from schemas.settings.issuers import LocalIssuer\n"
        "folder = Path(sys.argv[1])\n"
        "keys = SoftwareKeyStore('keys', folder / 'keys', (folder / 'master').read_bytes())\n"
        "ca = LocalCa('local', LocalIssuer(kind='local', path=str(folder / 'ca'), key_store='keys'), keys)\n"
        "sys.stdout.write(ca.trust_anchors().decode())\n"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    started = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(3)]
    roots = {process.communicate(timeout=60)[0] for process in started}
    assert roots == {ca_in(tmp_path).trust_anchors()}


def test_a_root_of_another_key_signs_nothing(ca: LocalCa, tmp_path: Path) -> None:
    issue(ca)
    other = LocalCa("local", ca._given, SoftwareKeyStore("keys", tmp_path / "others", MASTER))
    other._keys.generate(other._key_id, "another", "EC-P256")
    url = other.place_order(NAMES).url
    with pytest.raises(CaRefused, match="another key"):
        other.finalize(url, request(NAMES), beat)
    assert other.order(url).status == "ready"


def test_two_cas_in_one_key_store_have_a_key_each(tmp_path: Path) -> None:
    one, two = ca_in(tmp_path, "one"), ca_in(tmp_path, "two", path=str(tmp_path / "ca-two"))
    assert one.trust_anchors() != two.trust_anchors()
    assert (
        not X509Reader()
        .read(issue(one).public_bytes(serialization.Encoding.PEM), two.trust_anchors())
        .chain_verified
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: request(("www.example.com",)),
        lambda: request((*NAMES, "admin.example.com")),
        lambda: request(NAMES, extra=(x509.RFC822Name("a@example.com"),)),
        lambda: request(NAMES, rsa.generate_private_key(65537, 1024)),  # noqa: S505 - it must be refused
        lambda: request(NAMES, ec.generate_private_key(ec.SECP256K1())),
        lambda: request(NAMES, ed25519.Ed25519PrivateKey.generate()),
        lambda: request(NAMES, dsa.generate_private_key(1024)),  # noqa: S505 - as above
        lambda: b"no request",
        lambda: b"",
        lambda: request(NAMES)[:-1] + b"\x00",
        lambda: (
            x509.CertificateSigningRequestBuilder(x509.Name([]))
            .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
            .public_bytes(serialization.Encoding.DER)
        ),
    ],
    ids=[
        "fewer",
        "more",
        "other kind",
        "short",
        "curve",
        "ed25519",
        "dsa",
        "junk",
        "empty",
        "forged",
        "nameless",
    ],
)
def test_a_request_that_does_not_fit_is_refused(ca: LocalCa, make: Callable[[], bytes]) -> None:
    url = ca.place_order(NAMES).url
    with pytest.raises(CaRefused):
        ca.finalize(url, make(), beat)
    assert ca.order(url).status == "ready"
    assert ca.certificates_issued() == 0
    assert ca.finalize(url, request(NAMES), beat).status == "valid"


@pytest.mark.parametrize(
    "url",
    [
        "local:local/" + "0" * 32,
        "local:other/" + "0" * 32,
        "local:local/../root",
        "https://x/y",
        "",
        "local:local/",
    ],
)
def test_an_order_of_nobody_is_lost(ca: LocalCa, url: str) -> None:
    for use in (ca.order, ca.certificate, lambda given: ca.finalize(given, request(NAMES), beat)):
        with pytest.raises(OrderLost):
            use(url)


@pytest.mark.parametrize("names", [(), tuple(f"a{number}.example.com" for number in range(101))])
def test_too_few_or_too_many_names_are_refused(ca: LocalCa, names: tuple[str, ...]) -> None:
    with pytest.raises(CaRefused):
        ca.place_order(names)


def test_nothing_is_handed_out_before_it_is_issued(ca: LocalCa) -> None:
    url = ca.place_order(NAMES).url
    with pytest.raises(OrderInvalid):
        ca.certificate(url)


def test_a_folder_that_can_not_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "ca").write_bytes(b"a file")
    with pytest.raises(CaUnavailable):
        ca_in(tmp_path).place_order(NAMES)


def test_a_process_that_stands_still_with_the_lock_holds_nobody_up_for_ever(
    ca: LocalCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.issuers.orders._LOCK_WAIT_S", 0.1)
    url, lists = ca.place_order(NAMES).url, ca_in(tmp_path, crl_url="http://ca.example.com/crl.der")
    uses: tuple[Callable[[], object], ...] = (
        lambda: ca.finalize(url, request(NAMES), beat),
        ca.crl,
        lists.refresh_lists,
    )
    with (tmp_path / "ca" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for use in uses:
            with pytest.raises(CaUnavailable, match="does not come to an end"):
                use()
    assert ca.finalize(url, request(NAMES), beat).status == "valid"
