"""The account at an ACME CA, and every question that is put to the CA with it.

- The account is found or made once a process by its key, so a lost answer to newAccount costs nothing; a CA that
  has forgotten it gets it anew.
- While the account's key is being changed (RFC 8555, 7.3.5) the settings name two keys, and either may be the right
  one. Then an account is looked for with both before one is made, and again when the CA refuses the key in use.
- Each thread has a connection and a stock of nonces of its own.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from acme import messages
from acme.client import ClientV2
from acme.errors import ConflictError
from acme.errors import Error as AcmeError
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.errors import Error as JoseError
from josepy.jwa import ES256, ES384, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA

from clients.egress.client import EgressClient
from clients.issuers.acme_network import Network, code_of, translated
from schemas.errors import CaRefused, CaUnavailable, InvalidReference, OrderLost
from schemas.settings import issuers

_ALGORITHMS: Final = {256: ES256, 384: ES384}
_UNKNOWN: Final = "accountDoesNotExist"
_WRONG_KEY: Final = {"unauthorized", "malformed", "badPublicKey"}
"""What CAs answer when an account's key is no longer the one that signed."""


@dataclass(frozen=True)
class AccountKey:
    jwk: JWK
    algorithm: JWASignature


@dataclass(frozen=True)
class _Found:
    key: AccountKey
    registration: messages.RegistrationResource


class Account:
    def __init__(
        self,
        name: str,
        given: issuers.AcmeIssuer,
        keys: tuple[AccountKey, ...],
        eab_key: str | None,
        egress: EgressClient,
    ) -> None:
        """`keys`: the account's, then the one that it is changing to, if it is."""
        self.name = name
        self._given = given
        self._keys = keys
        self._eab_key = eab_key
        self._egress = egress
        self._found: _Found | None = None
        self._finding = threading.Lock()
        self._threads = threading.local()

    def ask(self, question: Callable[[ClientV2], Any]) -> Any:
        """Put one question, with an account; once more if the CA has forgotten it, or it has another key."""
        used = self._find()
        client = self._with(used)
        try:
            with self.translating():
                return question(client)
        except _Forgotten as forgotten:
            with self._finding:
                if self._found is used:
                    self._found = None
            again = self._find()
            if forgotten.code != _UNKNOWN and again.key == used.key:
                raise translated(self.name, forgotten.error, self.network.status) from forgotten.error
            client = self._with(again)
            with self.translating(again=True):
                return question(client)

    def ask_anonymously(self, question: Callable[[ClientV2], Any]) -> Any:
        """Put a question that needs no account."""
        client = self.client()
        with self.translating(again=True):
            return question(client)

    def url(self) -> str:
        return str(self._find().registration.uri)

    def key(self) -> JWK:
        return self._find().key.jwk

    def client(self) -> ClientV2:
        """The thread's; it signs with no account until it is given one."""
        client: ClientV2 | None = getattr(self._threads, "client", None)
        if client is None:
            first = self._keys[0]
            network = Network(self.name, first.jwk, first.algorithm, self._egress)
            self._threads.network = network
            client = self._threads.client = ClientV2(self._directory(network), network)
        return client

    @property
    def network(self) -> Network:
        """The thread's, once it has asked anything."""
        network: Network = self._threads.network
        return network

    def existing(self, key: AccountKey) -> messages.RegistrationResource | None:
        """The account that has this key, if there is one; none is made."""
        client = self._sign_with(key, None)
        try:
            with self.translating():
                wanted = messages.NewRegistration(only_return_existing=True)
                answer = client._post(client.directory["newAccount"], wanted)  # noqa: SLF001 - the library's own query needs the account's URL
                return _registration(answer.headers["Location"])
        except _Forgotten as forgotten:
            if forgotten.code == _UNKNOWN:
                return None
            raise translated(self.name, forgotten.error, self.network.status) from forgotten.error

    def signing(self, key: AccountKey, registration: messages.RegistrationResource) -> ClientV2:
        """The thread's client, for one question with this key."""
        return self._sign_with(key, registration)

    def forget(self) -> None:
        """Look for the account anew at the next question."""
        with self._finding:
            self._found = None

    @contextmanager
    def translating(self, *, again: bool = False) -> Iterator[None]:
        try:
            yield
        except (AcmeError, JoseError, ValueError, KeyError) as error:
            code = code_of(error)
            suspect = code == _UNKNOWN or (len(self._keys) > 1 and code in _WRONG_KEY)
            if not again and suspect:
                raise _Forgotten(code, error) from error
            raise translated(self.name, error, self.network.status) from error

    def parsed(self, kind: Any, response: Any) -> Any:
        try:
            return kind.from_json(response.json())
        except (JoseError, ValueError) as error:
            raise CaUnavailable(f"{self.name} sent an answer that is not ACME's.") from error

    def _with(self, found: _Found) -> ClientV2:
        return self._sign_with(found.key, found.registration)

    def _sign_with(self, key: AccountKey, registration: messages.RegistrationResource | None) -> ClientV2:
        client = self.client()
        client.net.key, client.net.alg, client.net.account = key.jwk, key.algorithm, registration
        return client

    def _find(self) -> _Found:
        with self._finding:
            if self._found is None:
                self._found = self._existing_of_several() or self._registered(self._keys[0])
            return self._found

    def _existing_of_several(self) -> _Found | None:
        """With one key there is nothing to choose: newAccount finds the account too."""
        for key in self._keys if len(self._keys) > 1 else ():
            registration = self.existing(key)
            if registration is not None:
                return _Found(key, registration)
        return None

    def _registered(self, key: AccountKey) -> _Found:
        client = self._sign_with(key, None)
        new = messages.NewRegistration(
            contact=tuple(self._given.contact),
            terms_of_service_agreed=True,
            external_account_binding=self._binding(key, client.directory),
        )
        with self.translating(again=True):
            try:
                return _Found(key, client.new_account(new))
            except ConflictError as existing:
                return _Found(key, _registration(existing.location))

    def _binding(self, key: AccountKey, directory: messages.Directory) -> Any:
        if self._given.eab is None or self._eab_key is None:
            return None
        return messages.ExternalAccountBinding.from_data(
            key.jwk.public_key(), self._given.eab.key_id, self._eab_key, directory
        )

    def _directory(self, network: Network) -> messages.Directory:
        try:
            with self.translating(again=True):
                return ClientV2.get_directory(self._given.directory, network)
        except (AttributeError, TypeError) as error:
            raise CaUnavailable(f"{self.name} sent a directory that is not ACME's.") from error
        except OrderLost:
            raise CaRefused(f"There is no ACME directory at {self._given.directory}.") from None


class _Forgotten(Exception):  # noqa: N818 - handled where it is raised from
    """The CA does not know our account by this key, or not any more."""

    def __init__(self, code: str, error: Exception) -> None:
        super().__init__(code)
        self.code, self.error = code, error


def account_key(pem: bytes) -> AccountKey:
    """Of PKCS#8 PEM. Raises `InvalidReference`."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise InvalidReference("The ACME account key is not an unencrypted PKCS#8 PEM.") from error
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size in _ALGORITHMS:
        return AccountKey(JWKEC(key=key), _ALGORITHMS[key.curve.key_size])
    if isinstance(key, rsa.RSAPrivateKey):
        return AccountKey(JWKRSA(key=key), RS256)
    raise InvalidReference("The ACME account key is neither P-256, P-384 nor RSA.")


def _registration(url: str) -> messages.RegistrationResource:
    return messages.RegistrationResource(uri=url, body=messages.Registration())
