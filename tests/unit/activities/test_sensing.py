"""What the CAs say of a certificate that a target holds, and what becomes of it when they say nothing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from activities.certificates.issued import Issued
from activities.certificates.sensing import heard
from activities.certificates.steps import Surroundings
from clients.issuers import Order
from clients.revocation import RevocationStatus
from schemas.certificates import CertificateFacts, SweepDecision
from schemas.errors import CaUnavailable
from schemas.renewal_info import RenewalWindow
from schemas.settings.certificates import RenewalPolicy

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = RenewalPolicy()
NOT_DUE = SweepDecision(certificate="www", due=False, why="its dates say so")
GOOD = RevocationStatus(state="good")


def facts(fingerprint: str = "a" * 64) -> CertificateFacts:
    """Of 90 days, 30 of them over: by its dates it is due in 30 more."""
    return CertificateFacts(
        fingerprint=fingerprint,
        serial="1",
        names=("www.example.com",),
        issuer="CN=CA",
        not_before=NOW - 30 * DAY,
        not_after=NOW + 60 * DAY,
        public_key_sha256="b" * 64,
        key_algorithm="EC-P256",
    )


def window(start: datetime) -> RenewalWindow:
    return RenewalWindow(start=start, end=start + DAY)


class Suggesting:
    """A CA that suggests a time, or is away."""

    def __init__(self, window: RenewalWindow | None, *, away: bool = False) -> None:
        self._window = window
        self._away = away

    def trust_anchors(self) -> bytes:
        self._refuse_while_away()
        return b"roots"

    def renewal_info(self, chain: bytes) -> RenewalWindow | None:
        assert chain == b"chain"
        self._refuse_while_away()
        return self._window

    def place_replacement(self, names: tuple[str, ...], replaced: bytes) -> Order:
        raise AssertionError((names, replaced))

    def _refuse_while_away(self) -> None:
        if self._away:
            raise CaUnavailable("The CA is away.")


class Told:
    """Revocations that answer the same each time, and keep what they were asked with."""

    def __init__(self, status: RevocationStatus) -> None:
        self._status = status
        self.asked: list[tuple[bytes, bytes]] = []

    def status(self, chain: bytes, anchors: bytes = b"") -> RevocationStatus:
        self.asked.append((chain, anchors))
        return self._status


def decided(
    ca: Suggesting,
    *,
    told: Told | None = None,
    distrusted: frozenset[str] = frozenset(),
    held: tuple[CertificateFacts | None, ...] = (facts(),),
    issuer: Callable[[str], object] | None = None,
) -> SweepDecision:
    around = SimpleNamespace(
        issuer=issuer or (lambda _: ca), revocations=told or Told(GOOD), distrusted=distrusted
    )
    issued = [Issued(issuer="acme", chain=b"chain", facts=facts())]
    return heard(cast("Surroundings", around), issued, held, policy=POLICY, decision=NOT_DUE, now=NOW)


def test_a_revoked_one_is_due_at_once_and_says_why() -> None:
    told = Told(RevocationStatus(state="revoked", reason="keyCompromise"))
    decision = decided(Suggesting(None), told=told)
    assert decision.due
    assert decision.why == "aaaaaaaaaaaa was revoked (keyCompromise)"
    assert not decision.distrusted
    assert told.asked == [(b"chain", b"roots")]


@pytest.mark.parametrize("state", ["good", "unknown"])
def test_one_that_is_not_known_to_be_revoked_goes_by_its_dates(state: str) -> None:
    told = Told(RevocationStatus.model_validate({"state": state}))
    assert decided(Suggesting(None), told=told) == NOT_DUE


def test_a_window_that_is_over_makes_it_due_now() -> None:
    decision = decided(Suggesting(window(NOW - 2 * DAY)))
    assert decision.due
    assert "as the CA suggests" in decision.why


def test_a_window_that_comes_later_leaves_it_and_says_when() -> None:
    decision = decided(Suggesting(window(NOW + 20 * DAY)))
    assert not decision.due
    assert "to be renewed from 2026-03-2" in decision.why


def test_a_window_does_not_hold_back_a_target_that_holds_nothing() -> None:
    assert decided(Suggesting(window(NOW + 20 * DAY)), held=(facts(), None)) == NOT_DUE


def test_a_ca_that_is_away_leaves_the_dates_and_a_revocation_is_heeded_still() -> None:
    told = Told(GOOD)
    assert decided(Suggesting(None, away=True), told=told) == NOT_DUE
    assert told.asked == [(b"chain", b"")]
    revoked = Told(RevocationStatus(state="revoked"))
    assert decided(Suggesting(None, away=True), told=revoked).why == "aaaaaaaaaaaa was revoked"


def test_one_of_an_issuer_that_is_not_trusted_any_more_is_due_and_nobody_is_asked() -> None:
    told = Told(GOOD)
    decision = decided(Suggesting(None), told=told, distrusted=frozenset({"acme"}))
    assert decision.due
    assert "issued by acme, which is not trusted any more" in decision.why
    assert decision.distrusted
    assert decision.renewal.skip_grace, "there is nothing to go back to"
    assert not told.asked


def test_of_one_that_redoubt_has_not_had_issued_nobody_is_asked() -> None:
    def refuse(name: str) -> object:
        raise AssertionError(name)

    told = Told(RevocationStatus(state="revoked"))
    stranger = (facts("c" * 64),)
    assert decided(Suggesting(None), told=told, held=stranger, issuer=refuse) == NOT_DUE
    assert not told.asked
