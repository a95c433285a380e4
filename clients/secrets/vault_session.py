"""A log-in to Vault that lasts: renewed in time, made again at its maximum life, revoked when it is closed.

- Nothing is sent before the first question. A thread of its own renews the token while nobody asks.
- A token that Vault refuses is followed by one new log-in, and the question is put once more.
- A token that was given by reference is its owner's: it is renewed, and never revoked here.
- Answers are bounded, redirects are not followed: the token would go along to wherever they lead.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import hvac
import requests
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized, VaultError
from requests.adapters import HTTPAdapter

from clients.secrets import SecretSource
from clients.secrets.vault_login import way_in
from rules.leases import at_its_maximum, renew_after
from schemas.errors import DependencyUnavailable, RedoubtError, VaultLoginRefused
from schemas.settings.vault import TokenLogin, VaultServer

T = TypeVar("T")

_TIMEOUT_S = 10.0
_LARGEST_ANSWER = 16 << 20
_CHUNK = 1 << 16
_TRY_AGAIN_S = 5.0


class VaultSession:
    """`name` is what errors call it: `the issuer vault`."""

    def __init__(self, name: str, given: VaultServer, secrets: SecretSource) -> None:
        self.name = name
        self.address = given.address.rstrip("/")
        self._given = given
        self._own = not isinstance(given.login, TokenLogin)
        self._log_in = way_in(given.login, secrets)
        self._client: hvac.Client | None = None
        self._first_lease_s = self._lease_s = 0.0
        self._changing = threading.RLock()
        self._ended = threading.Event()
        self._changed = threading.Event()
        self._keeper: threading.Thread | None = None

    def ask(self, question: Callable[[hvac.Client], T]) -> T:
        """The answer. `InvalidRequest`, `InvalidPath` and a `Forbidden` that stays are the caller's to judge.

        Raises `DependencyUnavailable` (sealed, away), `VaultLoginRefused`, `WrappedSecretSpent`.
        """
        client = self._current()
        try:
            return self._answered(lambda: question(client))
        except (Forbidden, Unauthorized):
            again = self._after_refusal(client)
            if again is None:
                raise
            return self._answered(lambda: question(again))

    def ask_openly(self, question: Callable[[hvac.Client], T]) -> T:
        """Of what Vault tells everyone: without a log-in, and so without spending a wrapped secret ID."""
        client = self._made()
        return self._answered(lambda: question(client))

    def renew(self) -> None:
        """Give the token a new lease; at its maximum life, log in anew."""
        client = self._current()
        try:
            answer = self._answered(client.auth.token.renew_self)
            lease_s: float | None = float(answer["auth"]["lease_duration"])
        except (Forbidden, InvalidRequest, Unauthorized):
            lease_s = None  # it has ended, or is of those that are not renewed
        if self._own and (lease_s is None or at_its_maximum(self._first_lease_s, lease_s)):
            self._anew(client)
        elif lease_s is not None:
            self._lease_s = lease_s

    def close(self) -> None:
        """Revoke the token where it is our own; whoever asks later logs in anew."""
        self._ended.set()
        self._changed.set()
        with self._changing:
            client, self._client = self._client, None
        if client is not None and self._own:
            # Vault ends it by itself at the end of its lease.
            with contextlib.suppress(VaultError, requests.RequestException):
                client.auth.token.revoke_self()

    def _current(self) -> hvac.Client:
        with self._changing:
            return self._client if self._client is not None else self._logged_in()

    def _after_refusal(self, refused: hvac.Client) -> hvac.Client | None:
        """A client with another token, if the refused one's has ended; None if it is good, and may only not do this."""
        try:
            self._answered(refused.auth.token.lookup_self)
        except (Forbidden, Unauthorized):
            return self._anew(refused)
        return None

    def _anew(self, old: hvac.Client) -> hvac.Client:
        with self._changing:
            return self._logged_in() if self._client is old or self._client is None else self._client

    def _logged_in(self) -> hvac.Client:
        client = self._made()
        try:
            auth = self._answered(lambda: self._log_in(client))
        except (VaultError, KeyError, TypeError) as error:
            raise VaultLoginRefused(f"Vault does not let {self.name} log in.") from error
        client.token = auth["client_token"]
        # Of what the log-in gave: renewing can't give more than this at once.
        self._first_lease_s = self._lease_s = float(auth.get("lease_duration", 0))
        self._client = client
        self._keep()
        return client

    def _made(self) -> hvac.Client:
        session = requests.Session()
        session.trust_env = False
        session.verify = self._given.ca_file or True
        session.mount("https://", _Bounded())
        session.mount("http://", _Bounded())
        return hvac.Client(
            url=self.address,
            token="",
            verify=self._given.ca_file or True,
            timeout=_TIMEOUT_S,
            allow_redirects=False,
            session=session,
            namespace=self._given.namespace,
        )

    def _answered(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (Forbidden, InvalidPath, InvalidRequest, Unauthorized):
            raise
        except (VaultError, requests.RequestException) as error:
            raise DependencyUnavailable(
                f"Vault does not answer for {self.name}: it is sealed or away.", retry_after_s=5.0
            ) from error

    def _keep(self) -> None:
        self._ended.clear()
        self._changed.set()
        if self._keeper is None or not self._keeper.is_alive():
            self._keeper = threading.Thread(target=self._renewing, name="vault-token", daemon=True)
            self._keeper.start()

    def _renewing(self) -> None:
        wait_s = renew_after(self._lease_s)
        while not self._ended.is_set():
            if self._changed.wait(wait_s):
                self._changed.clear()
                wait_s = renew_after(self._lease_s)
                continue
            try:
                self.renew()
                wait_s = renew_after(self._lease_s)
            except RedoubtError:
                # Vault is away, or does not let us in: whoever asks next hears it, and we try again meanwhile.
                wait_s = _TRY_AGAIN_S


class _Bounded(HTTPAdapter):
    """Reads an answer up to its bound: the library would read whatever comes."""

    def send(self, request: requests.PreparedRequest, *_: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, **{**kwargs, "stream": True})
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > _LARGEST_ANSWER:
                response.close()
                raise requests.exceptions.ContentDecodingError("the answer is too large")
        response._content = bytes(body)  # noqa: SLF001 - the way requests itself keeps a body that was read
        return response
