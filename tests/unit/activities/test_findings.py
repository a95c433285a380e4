"""What a sweep has found is noted once, tells the metrics when it is due, and is what people are shown later."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine
from temporalio.testing import ActivityEnvironment

from activities.certificates.findings import Findings
from rules.calendar import What, dates
from rules.certificates import as_swept, due
from schemas.certificates import CertificateFacts, SweepDecision, SweepFinding
from schemas.settings.certificates import RenewalPolicy
from store.spool import Spool
from store.sql.audit import entries
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.migrations import migrate
from tests.unit.activities.test_sensing import facts

NOW, POLICY = datetime(2026, 3, 1, tzinfo=UTC), RenewalPolicy()
DAY = timedelta(days=1)
HELD = facts()
BY_DATES = due("www", [HELD], POLICY, NOW)
SUGGESTED = BY_DATES.model_copy(update={"due_at": NOW + 3 * DAY, "why": "as the CA suggests"})
REVOKED = BY_DATES.model_copy(update={"due": True, "due_at": NOW, "why": "it was revoked"})


def found(decision: SweepDecision, *held: CertificateFacts) -> SweepFinding:
    return SweepFinding.of(decision, held or (HELD,))


def test_what_the_sweep_has_heard_counts_for_what_it_was_about_and_nothing_else() -> None:
    assert as_swept(BY_DATES, found(REVOKED), [HELD], NOW) == REVOKED
    assert as_swept(BY_DATES, found(SUGGESTED), [HELD], NOW) == SUGGESTED
    assert as_swept(BY_DATES, found(SUGGESTED), [HELD], NOW + 4 * DAY).due
    other = facts("c" * 64)
    for held in ([other], [HELD, other], [HELD, None], []):
        assert as_swept(BY_DATES, found(REVOKED), held, NOW) == BY_DATES
    assert as_swept(BY_DATES, None, [HELD], NOW) == BY_DATES


def test_the_calendar_shows_the_day_that_the_ca_suggests_and_what_is_due_at_once() -> None:
    def first(finding: SweepFinding | None) -> tuple[What, datetime | None]:
        shown = dates("www", [HELD], POLICY, NOW, finding)[0]
        return shown.what, shown.at

    assert first(None) == (What.DUE, BY_DATES.due_at)
    assert first(found(SUGGESTED)) == (What.DUE, NOW + 3 * DAY)
    assert first(found(REVOKED)) == (What.OVERDUE, NOW)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = connect(f"sqlite:///{tmp_path}/records.sqlite")
    migrate(made)
    yield made
    made.dispose()


def test_it_is_noted_when_it_changes_and_due_since_it_was_first_seen(engine: Engine, tmp_path: Path) -> None:
    measured: list[datetime | None] = []
    journal = SqlJournal(engine, Spool(tmp_path / "spool", b"k" * 32), "certificates")
    measures = SimpleNamespace(held=lambda *given: measured.append(given[-1]))
    around: Any = SimpleNamespace(journal=journal, measures=measures, service="service:certificates")
    findings = Findings(around)

    def sweep(decision: SweepDecision) -> None:
        """Each sweep is a run of its own."""
        environment = ActivityEnvironment()
        run = f"run-{len(measured)}"
        environment.info = environment.info.__class__(**{**vars(environment.info), "workflow_run_id": run})
        environment.run(findings.keep, decision, {"web-1": HELD}, POLICY)

    sweep(BY_DATES)
    sweep(BY_DATES)
    sweep(REVOKED)
    sweep(REVOKED.model_copy(update={"due_at": NOW + DAY}))
    assert measured == [BY_DATES.due_at, BY_DATES.due_at, NOW, NOW]
    noted = [SweepFinding.model_validate(one["facts"]) for one in entries(engine, subject="www")]
    assert noted == [found(BY_DATES), found(REVOKED)]
