"""An ACME CA (RFC 8555): HTTP-01, external account binding, and steps that may be taken again after a crash.

- The account is found or made once a process by its key, so a lost answer to newAccount costs nothing; a CA that
  has forgotten it gets it anew.
- An order is read before it is acted on: a challenge is answered only while it is pending, a CSR is sent only while
  the order is ready. A POST whose answer is lost is never repeated blindly.
- The library's fixed pauses are not used: we poll at the CA's Retry-After, beat at each look and while we wait, and
  end by a deadline.
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from acme import challenges, messages
from acme.client import ClientV2
from acme.errors import ConflictError
from acme.errors import Error as AcmeError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.errors import Error as JoseError
from josepy.jwa import ES256, ES384, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA

from clients.challenges import ChallengeSolver
from clients.issuers import Order
from clients.issuers.acme_network import Network, in_words, retry_after, translated
from rules.points import reached
from schemas.errors import (
    CaRefused,
    CaUnavailable,
    InvalidReference,
    InvalidSettings,
    OrderInvalid,
    OrderLost,
    RedoubtError,
)
from schemas.settings import issuers

_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0
_BEAT_S = 1.0
_ALGORITHMS = {256: ES256, 384: ES384}


class AcmeIssuer:
    """The port `Issuer`; each thread has a connection and a stock of nonces of its own."""

    def __init__(
        self,
        name: str,
        given: issuers.AcmeIssuer,
        account_key: bytes,
        solver: ChallengeSolver,
        eab_key: str | None = None,
    ) -> None:
        """`account_key` is PKCS#8 PEM; `eab_key` as the CA gave it, base64url without padding."""
        self.name = name
        self._given = given
        self._key, self._algorithm = _account_key(account_key)
        self._solver = solver
        self._eab_key = eab_key
        self._account: messages.RegistrationResource | None = None
        self._registering = threading.Lock()
        self._threads = threading.local()

    # --- the port -------------------------------------------------------------------------------------

    def place_order(self, names: tuple[str, ...]) -> Order:
        wanted = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names]

        def ask(client: ClientV2) -> Order:
            response = client._post(client.directory["newOrder"], messages.NewOrder(identifiers=wanted))  # noqa: SLF001 - the library's own new_order hides the URL until it has asked for every authorization
            return _order(response.headers["Location"], messages.Order.from_json(response.json()))

        placed: Order = self._ask(ask)
        reached("order.placed")
        return placed

    def order(self, url: str) -> Order:
        return _order(url, self._read(url))

    def prove_control(self, url: str, beat: Callable[[], None]) -> Order:
        for authorization in self._read(url).authorizations:
            self._authorize(authorization, beat)
        return self._until(url, {"pending"}, beat)

    def finalize(self, url: str, csr: bytes, beat: Callable[[], None]) -> Order:
        body = self._read(url)
        if body.status == messages.STATUS_READY:
            request = messages.CertificateRequest(csr=x509.load_der_x509_csr(csr))
            self._ask(lambda client: _finalize(self.name, client, body.finalize, request))
            reached("order.finalized")
        return self._until(url, {"ready", "processing"}, beat)

    def certificate(self, url: str) -> bytes:
        where = self._read(url).certificate
        if where is None:
            raise OrderInvalid(f"{self.name} has issued nothing for this order.")
        chain: bytes = self._ask(lambda client: client._post_as_get(where).content)  # noqa: SLF001 - the library fetches a certificate only while it polls
        reached("certificate.downloaded")
        return chain

    def trust_anchors(self) -> bytes:
        if self._given.trust_file:
            try:
                return Path(self._given.trust_file).read_bytes()
            except OSError as error:
                raise InvalidSettings(
                    f"issuers.{self.name}.trust_file can't be read ({error.strerror})."
                ) from error
        roots = ssl.create_default_context().get_ca_certs(binary_form=True)
        if not roots:
            raise InvalidSettings(
                f"This system has no file of roots: name one as issuers.{self.name}.trust_file."
            )
        return "".join(ssl.DER_cert_to_PEM_cert(root) for root in roots).encode("ascii")

    # --- authorizations -------------------------------------------------------------------------------

    def _authorize(self, url: str, beat: Callable[[], None]) -> None:
        body, _ = self._authorization(url)
        challenge = next((one for one in body.challenges if isinstance(one.chall, challenges.HTTP01)), None)
        if body.status != messages.STATUS_PENDING:
            if challenge is not None:  # an attempt that was killed may have left its answer
                self._solver.withdraw(body.identifier.value, challenge.chall.encode("token"))
            if body.status == messages.STATUS_VALID:
                return
            raise self._invalid(body)
        if challenge is None:
            raise OrderInvalid(f"{self.name} offers no {self._solver.kind} for {body.identifier.value}.")
        response, validation = challenge.chall.response_and_validation(self._key)
        name, token = body.identifier.value, challenge.chall.encode("token")
        self._solver.publish(name, token, validation)
        if challenge.status == messages.STATUS_PENDING:
            self._ask(lambda client: client.answer_challenge(challenge, response))
            reached("challenge.answered")
        try:
            self._until_seen(url, beat)
        except OrderInvalid:
            self._solver.withdraw(name, token)
            raise
        # Only a settled authorization: an attempt that is cut short must leave to the CA what it is about to look at.
        self._solver.withdraw(name, token)

    def _until_seen(self, url: str, beat: Callable[[], None]) -> None:
        for wait in self._pauses(beat):
            body, pause = self._authorization(url)
            if body.status == messages.STATUS_VALID:
                return
            if body.status != messages.STATUS_PENDING:
                raise self._invalid(body)
            wait(pause)

    def _authorization(self, url: str) -> tuple[messages.Authorization, float | None]:
        response = self._ask(lambda client: client._post_as_get(url))  # noqa: SLF001 - as above
        return self._parsed(messages.Authorization, response), retry_after(response)

    def _invalid(self, body: messages.Authorization) -> RedoubtError:
        said = [in_words(one.error) for one in body.challenges if one.error is not None]
        return OrderInvalid(
            f"{self.name} could not validate {body.identifier.value}: {'; '.join(said) or body.status.name}."
        )

    # --- orders ---------------------------------------------------------------------------------------

    def _read(self, url: str) -> messages.Order:
        response = self._ask(lambda client: client._post_as_get(url))  # noqa: SLF001 - as above
        body: messages.Order = self._parsed(messages.Order, response)
        return body

    def _until(self, url: str, unsettled: set[str], beat: Callable[[], None]) -> Order:
        """Wait until the order has left these states; an invalid one raises what the CA says of it."""
        for wait in self._pauses(beat):
            response = self._ask(lambda client: client._post_as_get(url))  # noqa: SLF001 - as above
            order: Order = _order(url, self._parsed(messages.Order, response))
            if order.status == "invalid":
                raise OrderInvalid(
                    f"{self.name} declared the order invalid: {order.problem or 'no reason given'}."
                )
            if order.status not in unsettled:
                return order
            wait(retry_after(response))
        raise AssertionError("the pauses end by raising")

    def _pauses(self, beat: Callable[[], None]) -> Iterator[Callable[[float | None], None]]:
        """Yield ways to wait, longer each time, until the settings' time for polling is over."""
        deadline, pause = time.monotonic() + self._given.poll_timeout_s, _PAUSE_S
        while time.monotonic() < deadline:
            beat()
            yield partial(_rest, pause, deadline, beat)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        raise CaUnavailable(f"{self.name} did not decide within {self._given.poll_timeout_s:.0f} s.")

    # --- the account, and asking ----------------------------------------------------------------------

    def _ask(self, question: Callable[[ClientV2], Any]) -> Any:
        """Put one question, with an account; once more if the CA has forgotten the account meanwhile."""
        client = self._client()
        try:
            with self._translating(self._network):
                return question(client)
        except _Forgotten:
            with self._registering:
                if client.net.account is self._account:
                    self._account = None
            client = self._client()
            with self._translating(self._network, again=True):
                return question(client)

    @property
    def _network(self) -> Network:
        network: Network = self._threads.network
        return network

    def _client(self) -> ClientV2:
        client: ClientV2 | None = getattr(self._threads, "client", None)
        if client is None:
            network = Network(self.name, self._key, self._algorithm, self._given.ca_file)
            client = ClientV2(self._directory(network), network)
            self._threads.client, self._threads.network = client, network
        with self._registering:
            if self._account is None:
                client.net.account = None
                with self._translating(self._network, again=True):
                    self._account = self._register(client)
            client.net.account = self._account
        return client

    def _directory(self, network: Network) -> messages.Directory:
        try:
            with self._translating(network, again=True):
                return ClientV2.get_directory(self._given.directory, network)
        except OrderLost:
            raise CaRefused(f"There is no ACME directory at {self._given.directory}.") from None

    def _register(self, client: ClientV2) -> messages.RegistrationResource:
        new = messages.NewRegistration(
            contact=tuple(self._given.contact),
            terms_of_service_agreed=True,
            external_account_binding=self._binding(client.directory),
        )
        try:
            return client.new_account(new)
        except ConflictError as existing:
            return messages.RegistrationResource(uri=existing.location, body=messages.Registration())

    def _binding(self, directory: messages.Directory) -> Any:
        if self._given.eab is None or self._eab_key is None:
            return None
        return messages.ExternalAccountBinding.from_data(
            self._key.public_key(), self._given.eab.key_id, self._eab_key, directory
        )

    @contextmanager
    def _translating(self, network: Network, *, again: bool = False) -> Iterator[None]:
        try:
            yield
        except (AcmeError, JoseError, ValueError, KeyError) as error:
            if not again and isinstance(error, messages.Error) and error.code == "accountDoesNotExist":
                raise _Forgotten from error
            raise translated(self.name, error, network.status) from error

    def _parsed(self, kind: Any, response: Any) -> Any:
        try:
            return kind.from_json(response.json())
        except (JoseError, ValueError) as error:
            raise CaUnavailable(f"{self.name} sent an answer that is not ACME's.") from error


class _Forgotten(Exception):  # noqa: N818 - handled where it is raised from
    """The CA does not know our account any more."""


def _finalize(name: str, client: ClientV2, url: str, request: messages.CertificateRequest) -> None:
    try:
        client._post(url, request)  # noqa: SLF001 - the library's own finalize sends again by itself
    except messages.Error as error:
        if error.code == "unauthorized":
            # The account has just read this order, so what is not authorized is the request (RFC 8555, 7.4).
            raise CaRefused(f"{name}: {in_words(error)}.") from error
        # Another attempt was faster: its request has the same bytes. Reading the order tells.
        if error.code != "orderNotReady":
            raise


def _order(url: str, body: messages.Order) -> Order:
    problem = in_words(body.error) if body.error is not None else ""
    return Order.model_validate({"url": url, "status": body.status.name, "problem": problem})


def _rest(pause: float, deadline: float, beat: Callable[[], None], said: float | None) -> None:
    """Wait as long as the CA said, or else as long as we would."""
    seconds = pause if said is None else max(said, pause)
    end = min(time.monotonic() + seconds, deadline)
    while (left := end - time.monotonic()) > 0:
        beat()
        time.sleep(min(left, _BEAT_S))


def _account_key(pem: bytes) -> tuple[JWK, JWASignature]:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise InvalidReference("The ACME account key is not an unencrypted PKCS#8 PEM.") from error
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size in _ALGORITHMS:
        return JWKEC(key=key), _ALGORITHMS[key.curve.key_size]
    if isinstance(key, rsa.RSAPrivateKey):
        return JWKRSA(key=key), RS256
    raise InvalidReference("The ACME account key is neither P-256, P-384 nor RSA.")
