"""What was replaced is revoked as superseded, by the next renewal if not by its own; and what is left alone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.certificates.retiring import RetiringActivities
from activities.looking import Looks
from schemas.certificates import Close, Retired
from schemas.errors import CaUnavailable
from schemas.evidence import Event
from schemas.revocations import RevocationReason, ToRevoke
from store.spool import Spool
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.migrations import migrate
from tests.integration.workflows.stand_ins import NEW, TARGETS, plan

KIND, REVOCATION = "CertificateRenewal", "CertificateRevocation"
FIRST, SECOND, THIRD = ("1" * 64, "2" * 64, "3" * 64)
"""Certificates, as they came one after the other."""
NEVER, LONG_AGO = datetime(2126, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)


class Journal(SqlJournal):
    def in_log(self, operation: str, step: str) -> bool:  # noqa: ARG002 - the port's
        return True


class Here:
    """The records, a CA, and targets that all hold `holds`."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.holds = THIRD
        self.revoked: list[tuple[str, RevocationReason]] = []
        self.away: set[str] = set()
        """Those for which the CA does not answer."""
        target = SimpleNamespace(current=lambda: self.holds, read=lambda _: b"chain")
        targets = [SimpleNamespace(name=name) for name in TARGETS]
        around: Any = SimpleNamespace(
            journal=journal,
            inventory={"www": SimpleNamespace(targets=targets)},
            target=lambda _: target,
            reader=SimpleNamespace(read=lambda _: SimpleNamespace(fingerprint=self.holds)),
            issuer=lambda _: SimpleNamespace(revoke=self._revoke),
            gate=SimpleNamespace(confirm=lambda *_: {}),
            approvals=SimpleNamespace(confirm=lambda *_: {}),
            room=SimpleNamespace(look=lambda *_: None, take=lambda *_: None),
            seals=None,
            looks=Looks(),
        )
        self.activities = RetiringActivities(around)

    def _revoke(self, chain: bytes, reason: RevocationReason) -> None:
        if chain.decode() in self.away:
            raise CaUnavailable("The CA is down.")
        self.revoked.append((chain.decode(), reason))

    def renewal(
        self, brought: str, previous: str, *, revoke: bool = True, not_after: datetime = NEVER
    ) -> str:
        """One that has verified every target."""
        planned = plan(previous=dict.fromkeys(TARGETS, previous), revoke_previous=revoke)
        operation = self.opened(KIND, planned.model_dump(mode="json"))
        facts = NEW.model_copy(update={"fingerprint": brought, "not_after": not_after})
        self.did(operation, "issued/shared/one/1", {"chain": brought, "facts": facts.model_dump(mode="json")})
        for name in TARGETS:
            self.did(operation, f"verify/{name}", {"fingerprint": brought})
        return operation

    def earlier(self, brought: str, previous: str, **given: Any) -> None:
        self.journal.close(self.renewal(brought, previous, **given), "renewed", {})

    def opened(self, kind: str, state: Any) -> str:
        opened = self.journal.open(
            kind=kind, subject="www", workflow_id="", run="", who="", correlation_id="", state=state
        )
        return opened.operation

    def did(self, operation: str, step: str, result: Any) -> None:
        self.journal.keep(operation, step, Event.CERTIFICATE_VERIFIED, {}, result)

    def retires(self, operation: str) -> Retired:
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, started_time=datetime.now(UTC))
        close = Close(operation=operation, certificate="www", outcome="renewed")
        done: Retired = environment.run(self.activities.revoke_previous, close)
        return done

    @property
    def superseded(self) -> list[str]:
        assert {reason for _, reason in self.revoked} <= {RevocationReason.SUPERSEDED}
        return [one for one, _ in self.revoked]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    engine = connect(f"sqlite:///{tmp_path}/records.sqlite")
    migrate(engine)
    yield Here(Journal(engine, Spool(tmp_path / "spool", b"k" * 32), "certificates"))
    engine.dispose()


def test_what_an_earlier_renewal_could_not_revoke_is_taken_up_by_the_next_one(here: Here) -> None:
    """Its CA was away, or its grace was ended early."""
    here.earlier(FIRST, "0" * 64)
    here.holds = SECOND
    second = here.renewal(SECOND, FIRST)
    here.away = {FIRST}
    with pytest.raises(CaUnavailable):
        here.retires(second)
    here.journal.close(second, "renewed", {})
    here.holds, here.away = THIRD, set()
    here.retires(here.renewal(THIRD, SECOND))
    assert here.superseded == [FIRST, SECOND]


def test_what_was_revoked_is_not_revoked_again(here: Here) -> None:
    here.earlier(FIRST, "0" * 64)
    here.holds = SECOND
    second = here.renewal(SECOND, FIRST)
    here.retires(second)
    here.journal.close(second, "renewed", {})
    here.holds = THIRD
    third = here.renewal(THIRD, SECOND)
    here.retires(third)
    here.retires(third)
    assert here.superseded == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("first", "second"),
    [({}, {"revoke": False}), ({"not_after": LONG_AGO}, {})],
    ids=["its renewal was not to revoke it", "it has ended"],
)
def test_of_earlier_renewals_nothing_else_is_revoked(
    here: Here, first: dict[str, Any], second: dict[str, Any]
) -> None:
    here.earlier(FIRST, "0" * 64, **first)
    here.earlier(SECOND, FIRST, **second)
    here.retires(here.renewal(THIRD, SECOND))
    assert here.superseded == [SECOND]


def test_what_a_target_holds_again_stays(here: Here) -> None:
    here.earlier(FIRST, "0" * 64)
    here.earlier(SECOND, FIRST)
    here.holds = FIRST
    here.retires(here.renewal(FIRST, SECOND))
    assert here.superseded == [SECOND]


def test_one_ca_that_is_away_keeps_no_other_certificate_from_being_revoked(here: Here) -> None:
    here.earlier(FIRST, "0" * 64)
    here.earlier(SECOND, FIRST)
    here.away = {FIRST}
    with pytest.raises(CaUnavailable):
        here.retires(here.renewal(THIRD, SECOND))
    assert here.superseded == [SECOND]


def test_what_a_revocation_under_way_is_to_revoke_is_left_to_it_and_its_reason(here: Here) -> None:
    here.earlier(FIRST, "0" * 64)
    here.earlier(SECOND, FIRST)
    doomed = ToRevoke(fingerprint=SECOND, serial="1", issuer="one", not_after=NEVER)
    state = {"certificate": "www", "reason": "keyCompromise", "replace": True}
    here.opened(REVOCATION, {**state, "certificates": [doomed.model_dump(mode="json")]})
    here.retires(here.renewal(THIRD, SECOND))
    assert here.superseded == [FIRST]
