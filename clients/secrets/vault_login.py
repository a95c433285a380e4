"""The ways to log in to Vault: each returns Vault's `auth` answer (client_token, lease_duration, renewable).

- A wrapped secret ID is unwrapped once, after a look at who made it: one that some other path has made was swapped
  on the way. One that can't be unwrapped any more was unwrapped by someone, and that is an alarm.
- The secret ID stays in this process's memory for the log-ins that follow; a new process needs a new wrapping token.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hvac
from hvac.exceptions import Forbidden, InvalidRequest

from clients.secrets import SecretSource
from clients.secrets.files import read_file
from schemas.errors import VaultLoginRefused, WrappedSecretSpent
from schemas.settings.vault import AppRoleLogin, CertificateLogin, JwtLogin, TokenLogin, VaultLogin

LogIn = Callable[[hvac.Client], dict[str, Any]]


def way_in(given: VaultLogin, secrets: SecretSource) -> LogIn:
    if isinstance(given, TokenLogin):
        return lambda client: _by_token(client, secrets.resolve(given.token).decode())
    if isinstance(given, AppRoleLogin):
        return _AppRole(given, secrets)
    if isinstance(given, CertificateLogin):
        return lambda client: _by_certificate(client, given)
    return lambda client: _by_jwt(client, given, secrets.resolve(given.jwt).decode())


def _by_token(client: hvac.Client, token: str) -> dict[str, Any]:
    client.token = token
    seen = client.auth.token.lookup_self()["data"]
    return {"client_token": token, "lease_duration": seen["ttl"], "renewable": seen.get("renewable", False)}


def _by_certificate(client: hvac.Client, given: CertificateLogin) -> dict[str, Any]:
    read_file(Path(given.key_file))  # refuses a key that others may read
    answer = client.adapter.post(
        f"/v1/auth/{given.mount}/login",
        json={"name": given.role} if given.role else {},
        cert=(given.certificate_file, given.key_file),
    )
    return _auth(answer)


def _by_jwt(client: hvac.Client, given: JwtLogin, jwt: str) -> dict[str, Any]:
    return _auth(client.adapter.post(f"/v1/auth/{given.mount}/login", json={"role": given.role, "jwt": jwt}))


class _AppRole:
    def __init__(self, given: AppRoleLogin, secrets: SecretSource) -> None:
        self._given = given
        self._secrets = secrets
        self._unwrapped: str | None = None

    def __call__(self, client: hvac.Client) -> dict[str, Any]:
        role_id = self._secrets.resolve(self._given.role_id).decode()
        answer = client.adapter.post(
            f"/v1/auth/{self._given.mount}/login",
            json={"role_id": role_id, "secret_id": self._secret_id(client)},
        )
        return _auth(answer)

    def _secret_id(self, client: hvac.Client) -> str:
        if self._unwrapped is None:
            given = self._secrets.resolve(self._given.secret_id).decode()
            self._unwrapped = self._unwrap(client, given) if self._given.wrapped else given
        return self._unwrapped

    def _unwrap(self, client: hvac.Client, token: str) -> str:
        made_by = f"auth/{self._given.mount}/role/{self._given.role}/secret-id"
        try:
            seen = client.adapter.post("/v1/sys/wrapping/lookup", json={"token": token})
            if seen["data"]["creation_path"] != made_by:
                raise WrappedSecretSpent(
                    f"The wrapping token was not made for role {self._given.role}: it was swapped on the way."
                )
            # Unwrapping takes a log-in, and the wrapping token is one, for this alone.
            answer = client.adapter.post("/v1/sys/wrapping/unwrap", headers={"X-Vault-Token": token})
            secret_id: str = answer["data"]["secret_id"]
        except (InvalidRequest, Forbidden) as error:
            raise WrappedSecretSpent(
                f"The wrapped secret ID of role {self._given.role} can't be unwrapped: it has ended, or someone else "
                "has unwrapped it."
            ) from error
        return secret_id


def _auth(answer: Any) -> dict[str, Any]:
    auth = answer.get("auth") if isinstance(answer, dict) else None
    if not isinstance(auth, dict) or not auth.get("client_token"):
        raise VaultLoginRefused("Vault answered the log-in without a token.")
    return auth
