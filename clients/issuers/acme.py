"""An ACME CA (RFC 8555), its steps such that each may be taken again after a crash.

- An order is read before it is acted on: a challenge is answered only while it is pending, a CSR is sent only while
  the order is ready. A POST whose answer is lost is never repeated blindly.
- All proofs of an order are published, and visible, before the CA is asked to look at the first. They are taken away
  again however that ends, but for those that the CA may be about to look at and another attempt will need.
- An order says which certificate it replaces (RFC 9773, 5) only where this CA knows that one; a CA that refuses to
  hear of it gets the order without.
- The library's fixed pauses are not used: we poll at the CA's Retry-After, beat at each look and while we wait, and
  end by a deadline.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from acme import messages
from acme.client import ClientV2
from acme.errors import ConflictError
from cryptography import x509
from josepy.json_util import field

from clients.challenges import ChallengeSolver, Proof
from clients.egress.client import EgressClient
from clients.issuers import Order
from clients.issuers.acme_account import Account, account_key
from clients.issuers.acme_chains import preferred
from clients.issuers.acme_network import code_of, in_words, retry_after
from clients.issuers.acme_proofs import Asked, Ready, asked
from clients.issuers.acme_rehearsal import rehearse
from clients.issuers.acme_renewal_info import RenewalInformation
from clients.issuers.acme_revocation import revoke
from clients.issuers.acme_rollover import roll_over
from clients.issuers.caa import CaaCheck
from clients.issuers.roots import read_trust_file
from rules.points import reached
from schemas.errors import CaRefused, CaUnavailable, InvalidSettings, OrderInvalid, RedoubtError
from schemas.renewal_info import RenewalWindow
from schemas.revocations import RevocationReason
from schemas.settings import issuers
from schemas.settings.names import is_address

_log = structlog.get_logger("clients.issuers.acme")

_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0
_BEAT_S = 1.0
_STATUSES = {"pending", "ready", "processing", "valid", "invalid"}
_NOT_REPLACED = {"alreadyReplaced", "malformed", "unauthorized"}


class AcmeIssuer:
    """The ports `Issuer`, `ShowsProofs`, `SuggestsRenewal`, `Rehearses` and `ChangesAccountKey`."""

    def __init__(  # noqa: PLR0913 - the settings, and the secrets that they name
        self,
        name: str,
        given: issuers.AcmeIssuer,
        account_pem: bytes,
        solver: ChallengeSolver,
        eab_key: str | None = None,
        *,
        next_account_pem: bytes | None = None,
        allow: tuple[str, ...] = (),
        caa: CaaCheck | None = None,
    ) -> None:
        """The account's keys are PKCS#8 PEM; `eab_key` as the CA gave it, base64url without padding.

        `allow` are the networks beside the public ones in which the CA's links may lead (`egress.allow`); `caa` is
        asked before each order.
        """
        self.name = name
        self._given = given
        self._account_pem, self._eab_key = account_pem, eab_key
        self._key = account_key(account_pem)
        pems = () if next_account_pem is None else (next_account_pem,)
        self._allow, self._caa = allow, caa
        egress = EgressClient(allow, given.ca_file)
        self._account = Account(name, given, (self._key, *map(account_key, pems)), eab_key, egress)
        self._renewals = RenewalInformation(self._account)
        self._solver = solver

    # --- the port -------------------------------------------------------------------------------------

    def place_order(self, names: tuple[str, ...]) -> Order:
        return self._placed(names, None)

    def place_replacement(self, names: tuple[str, ...], replaced: bytes) -> Order:
        try:
            known = self._renewals.replaceable(replaced)
        except CaUnavailable:
            known = None  # its renewal information is a service of its own: without it the order works too
        return self._placed(names, known)

    def renewal_info(self, chain: bytes) -> RenewalWindow | None:
        return self._renewals.window(chain)

    def order(self, url: str) -> Order:
        return _order(url, self._read(url))

    def prove_control(
        self, url: str, beat: Callable[[], None], keep: Callable[[tuple[Proof, ...]], None] | None = None
    ) -> Order:
        wanted = [self._asked(one, self._authorization(one)[0]) for one in self._read(url).authorizations]
        for one in wanted:
            if one.status != messages.STATUS_PENDING:
                self._solver.withdraw(one.proof)  # an attempt that was killed may have left it
        pending = [one for one in wanted if one.status == messages.STATUS_PENDING]
        proofs = tuple(one.proof for one in pending)
        if keep is not None and proofs:
            keep(proofs)
        looking = any(one.challenge.status != messages.STATUS_PENDING for one in pending)
        try:
            self._show(proofs, beat)
            looking = True  # from its first answer on, whether that has arrived or not
            self._have_it_looked_at(pending, beat)
        except BaseException as failure:
            if keep is None or not looking or isinstance(failure, OrderInvalid):
                self.withdraw(proofs)
            raise
        self.withdraw(proofs)
        return self._until(url, {"pending"}, beat)

    def withdraw(self, proofs: tuple[Proof, ...]) -> None:
        for proof in proofs:
            try:
                self._solver.withdraw(proof)
            except RedoubtError as error:
                _log.warning("proof not withdrawn", issuer=self.name, of=proof.name, why=error.in_full)

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
        chain: bytes = self._ask(lambda client: self._chain(client, where))
        reached("certificate.downloaded")
        return chain

    def revoke(self, chain: bytes, reason: RevocationReason) -> None:
        self._ask(lambda client: revoke(self.name, client, chain, reason))

    def trust_anchors(self) -> bytes:
        if self._given.trust_file:
            return read_trust_file(self.name, self._given.trust_file)
        roots = ssl.create_default_context().get_ca_certs(binary_form=True)
        if not roots:
            raise InvalidSettings(
                f"This system has no file of roots: name one as issuers.{self.name}.trust_file."
            )
        return "".join(ssl.DER_cert_to_PEM_cert(root) for root in roots).encode("ascii")

    def can_rehearse(self) -> bool:
        return self._given.staging_directory is not None

    def rehearse(self, names: tuple[str, ...], csr: bytes, beat: Callable[[], None]) -> None:
        rehearse(self._staging(), names, csr, beat)

    def _staging(self) -> "AcmeIssuer":
        given = self._given
        if given.staging_directory is None:
            raise InvalidSettings(f"issuers.{self.name}.staging_directory is missing: there is no rehearsal.")
        staged = given.model_copy(
            update={
                "directory": given.staging_directory,
                "trust_file": given.staging_trust_file,
                "preferred_chain": None,
            }
        )
        name, pem = f"{self.name} (staging)", self._account_pem
        return AcmeIssuer(name, staged, pem, self._solver, self._eab_key, allow=self._allow, caa=self._caa)

    def change_account_key(self, new_pem: bytes) -> bool:
        """Give the account this key; True if it was done now. Again, after a kill at any line: it is finished."""
        return roll_over(self._account, self._key, account_key(new_pem))

    # --- authorizations -------------------------------------------------------------------------------

    def _asked(self, url: str, body: messages.Authorization) -> Asked:
        if body.status not in (messages.STATUS_PENDING, messages.STATUS_VALID):
            raise self._invalid(body)
        return asked(url, body, self._solver.kind, self._account.key(), self._account.url())

    def _have_it_looked_at(self, pending: list[Asked], beat: Callable[[], None]) -> None:
        for one in pending:
            if one.challenge.status == messages.STATUS_PENDING:
                self._ask(partial(_answer, one.challenge.uri))
                reached("challenge.answered")
        for one in pending:
            self._until_seen(one.url, beat)

    def _show(self, proofs: tuple[Proof, ...], beat: Callable[[], None]) -> None:
        for proof in proofs:
            self._solver.publish(proof)
        for proof in proofs:
            self._solver.await_visible(proof, beat)

    def _until_seen(self, url: str, beat: Callable[[], None]) -> None:
        for wait in self._pauses(beat):
            body, pause = self._authorization(url)
            if body.status == messages.STATUS_VALID:
                return
            if body.status != messages.STATUS_PENDING:
                raise self._invalid(body)
            wait(pause)

    def _authorization(self, url: str) -> tuple[messages.Authorization, float | None]:
        response = self._ask(lambda client: client._post_as_get(url))  # noqa: SLF001 - as below
        return self._account.parsed(messages.Authorization, response), retry_after(response)

    def _invalid(self, body: messages.Authorization) -> RedoubtError:
        said = [in_words(one.error) for one in body.challenges if one.error is not None]
        return OrderInvalid(
            f"{self.name} could not validate {body.identifier.value}: {'; '.join(said) or body.status.name}."
        )

    # --- orders ---------------------------------------------------------------------------------------

    def _placed(self, names: tuple[str, ...], replaces: str | None) -> Order:
        looked_up = self._check_caa(names)
        wanted = [messages.Identifier(typ=_identifier(name), value=name) for name in names]

        def ask(client: ClientV2) -> Order:
            self._refuse_unknown_profile(client.directory)
            try:
                return self._sent(client, wanted, replaces)
            except (ConflictError, messages.Error, CaUnavailable) as error:
                if replaces is None or not self._about_replacement(error):
                    raise
                return self._sent(client, wanted, None)

        placed: Order = self._ask(ask)
        reached("order.placed")
        return placed.model_copy(update={"caa": looked_up})

    def _about_replacement(self, error: Exception) -> bool:
        """409 is alreadyReplaced; the others say that the CA sees no predecessor in what was named, or 500.

        Pebble answers 500 for one certificate in 256: it does not find one whose serial number DER begins with a zero.
        """
        if isinstance(error, CaUnavailable):
            return self._account.network.status == HTTPStatus.INTERNAL_SERVER_ERROR
        return isinstance(error, ConflictError) or code_of(error) in _NOT_REPLACED

    def _check_caa(self, names: tuple[str, ...]) -> tuple[str, ...]:
        if self._caa is None:
            return ()
        offered = self._account.ask_anonymously(
            lambda client: getattr(client.directory.meta, "caa_identities", None)
        )
        return self._caa.check(names, self._account.url, offered)

    def _sent(self, client: ClientV2, wanted: list[messages.Identifier], replaces: str | None) -> Order:
        new = _NewOrder(identifiers=wanted, profile=self._given.profile, replaces=replaces)
        response = client._post(client.directory["newOrder"], new)  # noqa: SLF001 - the library's own new_order hides the URL until it has asked for every authorization
        placed = _order(
            response.headers["Location"], _whole(self.name, messages.Order.from_json(response.json()))
        )
        return placed.model_copy(update={"replaces": replaces is not None})

    def _read(self, url: str) -> messages.Order:
        response = self._ask(lambda client: client._post_as_get(url))  # noqa: SLF001 - as below
        body: messages.Order = self._account.parsed(messages.Order, response)
        return _whole(self.name, body)

    def _until(self, url: str, unsettled: set[str], beat: Callable[[], None]) -> Order:
        """Wait until the order has left these states; an invalid one raises what the CA says of it."""
        for wait in self._pauses(beat):
            response = self._ask(lambda client: client._post_as_get(url))  # noqa: SLF001 - as above
            order = _order(url, _whole(self.name, self._account.parsed(messages.Order, response)))
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

    def _refuse_unknown_profile(self, directory: messages.Directory) -> None:
        offered = getattr(directory.meta, "profiles", None) or {}
        if self._given.profile is not None and self._given.profile not in offered:
            raise InvalidSettings(
                f"issuers.{self.name}.profile names a profile that the CA does not offer; it offers: "
                f"{', '.join(sorted(offered)) or 'none'}."
            )

    def _chain(self, client: ClientV2, url: str) -> bytes:
        response = client._post_as_get(url)  # noqa: SLF001 - the library fetches a certificate only while it polls
        first: bytes = response.content
        if self._given.preferred_chain is None:
            return first
        links = client._get_links(response, "alternate")  # noqa: SLF001 - as above
        others = (partial(lambda link: client._post_as_get(link).content, link) for link in links)  # noqa: SLF001 - as above
        return preferred(first, others, self._given.preferred_chain)

    def _ask(self, question: Callable[[ClientV2], Any]) -> Any:
        return self._account.ask(question)


class _NewOrder(messages.NewOrder):
    replaces: str | None = field("replaces", omitempty=True)


def _identifier(name: str) -> messages.IdentifierType:
    return messages.IDENTIFIER_IP if is_address(name) else messages.IDENTIFIER_FQDN


def _answer(url: str, client: ClientV2) -> None:
    client._post(url, Ready())  # noqa: SLF001 - the library's own knows no answer to a kind that it does not know


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


def _whole(name: str, body: messages.Order) -> messages.Order:
    """With all that RFC 8555, 7.1.3 requires: the library takes an order without it."""
    links = body.authorizations
    if (
        body.status is None
        or body.status.name not in _STATUSES
        or not isinstance(links, list | tuple)
        or not all(isinstance(link, str) for link in links)
        or not isinstance(body.finalize, str)
    ):
        raise CaUnavailable(f"{name} sent an order that is not whole (RFC 8555, 7.1.3).")
    return body


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
