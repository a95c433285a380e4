"""Who may end a grace: a revocation that is under way, and a CA that wants the new one replaced; nobody else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.certificates import grace
from activities.certificates.grace import GraceActivities
from activities.certificates.in_grace import GRACE_ENDED
from activities.looking import Looks
from clients.revocation import RevocationStatus
from schemas.certificates import EndGrace
from schemas.errors import ClockWrong, NotApproved, NotAuthorized
from schemas.evidence import Event
from schemas.principals import Act
from schemas.settings.certificates import RenewalPolicy
from store import Operation, Step
from tests.integration.workflows.stand_ins import NEW, TARGETS, plan
from tests.unit.policies.installations import started

GOOD, REVOKED = RevocationStatus(state="good"), RevocationStatus(state="revoked")
RENEWAL, REVOCATION, RUN = "op-1", "op-9", "its-run"


class Runs:
    """A renewal that ends after two looks, unless the test says which runs are there, and how each answers."""

    def __init__(self, *seen: str, deaf: Sequence[str] = ()) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.asked: list[tuple[str, object, str]] = []
        """Which run, by which request, and its idempotency key."""
        self.seen = list(seen or (RUN, RUN))
        self.deaf = list(deaf)
        """The runs that do not hear the first time they are told."""

    def tell(  # noqa: PLR0913, PLR0917 - as the port has it
        self, run: str, workflow_id: str, update: str, given: Any, request: object, once: str
    ) -> bool:
        self.told.append((workflow_id, update, given.reason))
        self.asked.append((run, request, once))
        if run in self.deaf:
            self.deaf.remove(run)
            return False
        return True

    def open_run(self, workflow_id: str) -> str | None:
        assert workflow_id == "certificate-renewal/www"
        return self.seen.pop(0) if self.seen else None


def opened(operation: str, kind: str, *, closed: str | None = None, subject: str = "www") -> Operation:
    return Operation(
        operation=operation,
        kind=kind,
        subject=subject,
        workflow_id="",
        correlation_id="",
        state=plan(key_holder="target").model_dump(mode="json") if kind == "CertificateRenewal" else {},
        undoing=False,
        closed=closed,
    )


def around(
    runs: Runs,
    notes: list[Any],
    *,
    revocation: Operation | None = None,
    verified: int = 3,
    status: RevocationStatus = GOOD,
) -> Any:
    """The renewal `op-1` of `www`, so many of whose targets are verified; every target holds `NEW`."""
    steps = [
        Step(operation=RENEWAL, step=f"verify/{name}", result={}, first=False) for name in TARGETS[:verified]
    ]
    facts = NEW.model_dump(mode="json")
    issued = Step(
        operation=RENEWAL, step="issued/shared/one/1", result={"chain": "c", "facts": facts}, first=False
    )
    journal = SimpleNamespace(
        unfinished=lambda _: (opened(RENEWAL, "CertificateRenewal"),),
        operation=lambda _: revocation,
        steps=lambda _: (*steps, issued),
        endings=lambda *_: (),
        keep=lambda operation, step, what, facts, _: notes.append((operation, step, what, facts)),
    )
    target = SimpleNamespace(current=lambda: NEW.fingerprint, read=lambda _: b"chain")
    targets = tuple(SimpleNamespace(name=name) for name in TARGETS)
    never = NEW.model_copy(update={"not_after": NEW.not_after.replace(year=2126)})
    return SimpleNamespace(
        inventory={"www": SimpleNamespace(targets=targets, renew=RenewalPolicy())},
        journal=journal,
        runs=lambda: runs,
        gate=SimpleNamespace(confirm=lambda *_: {}),
        approvals=SimpleNamespace(granted=lambda _: None),
        signed_update=lambda _act, _kind, _given, _steer, run: f"for {run}",
        target=lambda _: target,
        reader=SimpleNamespace(read=lambda _: never),
        issuer=lambda _: SimpleNamespace(trust_anchors=lambda: b""),
        revocations=SimpleNamespace(status=lambda *_: status),
        distrusted=frozenset(),
        looks=Looks(),
        service="service:certificates",
    )


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grace, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(grace, "_TELL_EVERY_S", 0.0)


def ended(asked: EndGrace, runs: Runs | None = None, **given: Any) -> tuple[Runs, list[Any]]:
    runs, notes = runs or Runs(), list[Any]()
    started().run(GraceActivities(around(runs, notes, **given)).end_grace, asked)
    assert not runs.seen, "it returns once the renewal has ended"
    return runs, notes


def test_a_revocation_that_is_under_way_ends_it_and_the_evidence_says_for_whom() -> None:
    revocation = opened(REVOCATION, "CertificateRevocation")
    runs, notes = ended(EndGrace(certificate="www", revocation=REVOCATION), revocation=revocation)
    ((workflow_id, update, reason),) = runs.told
    assert (workflow_id, update) == ("certificate-renewal/www", Act.END_GRACE)
    assert REVOCATION in reason
    assert notes == [(RENEWAL, GRACE_ENDED, Event.CERTIFICATE_GRACE_ENDED, {"why": reason})]


@pytest.mark.parametrize(
    "other",
    [
        opened(REVOCATION, "CertificateRevocation", closed="revoked"),
        opened(REVOCATION, "CertificateRevocation", subject="db"),
        opened(REVOCATION, "CertificateRenewal"),
    ],
)
def test_no_other_operation_does(other: Operation) -> None:
    runs, notes = Runs(), list[Any]()
    acts = GraceActivities(around(runs, notes, revocation=other))
    with pytest.raises(NotAuthorized):
        ActivityEnvironment().run(acts.end_grace, EndGrace(certificate="www", revocation=REVOCATION))
    assert (runs.told, notes) == ([], [])


def test_one_that_nobody_has_approved_ends_no_grace() -> None:
    runs, notes = Runs(), list[Any]()
    revocation = opened(REVOCATION, "CertificateRevocation")
    surroundings = around(runs, notes, revocation=revocation)

    def nobody_has(operation: str) -> None:
        raise NotApproved(f"Nobody has approved {operation}.")

    surroundings.approvals.granted = nobody_has
    acts = GraceActivities(surroundings)
    with pytest.raises(NotApproved, match=REVOCATION):
        ActivityEnvironment().run(acts.end_grace, EndGrace(certificate="www", revocation=REVOCATION))
    assert (runs.told, notes) == ([], [])


@pytest.mark.parametrize(
    ("seen", "deaf", "told"),
    [
        ((RUN, RUN, RUN), (RUN,), [RUN, RUN]),
        ((RUN, "reset", "reset"), (), [RUN, "reset"]),
        ((RUN, "reset", "reset", "reset"), (RUN, "reset"), [RUN, "reset", "reset"]),
    ],
)
def test_a_run_that_could_not_hear_it_or_was_reset_is_told_again_and_then_left_alone(
    seen: tuple[str, ...], deaf: tuple[str, ...], told: list[str]
) -> None:
    """Or the whole grace would be waited for: a run that was reset knows nothing of what the other was told."""
    revocation = opened(REVOCATION, "CertificateRevocation")
    asked = EndGrace(certificate="www", revocation=REVOCATION)
    runs, _ = ended(asked, Runs(*seen, deaf=deaf), revocation=revocation)
    assert [(run, request) for run, request, _ in runs.asked] == [(run, f"for {run}") for run in told]
    assert len({once for _, _, once in runs.asked}) == len(told), "said anew, and not once more the same"


def test_without_one_the_ca_must_say_so_of_what_every_target_was_verified_with() -> None:
    runs, notes = ended(EndGrace(certificate="www"), status=REVOKED)
    assert [reason for _, _, reason in runs.told] == [f"{NEW.fingerprint[:12]} was revoked"]
    assert len(notes) == 1
    for given in ({"status": GOOD}, {"status": REVOKED, "verified": 2}):
        runs, notes = ended(EndGrace(certificate="www"), **given)
        assert (runs.told, notes) == ([], []), given


@pytest.mark.parametrize("words", ["x" * 2000, "two\nlines", "turned \u202e round"])
def test_what_a_ca_says_is_told_as_a_reason_whatever_it_is(words: str) -> None:
    status = REVOKED.model_copy(update={"reason": words})
    runs, _ = ended(EndGrace(certificate="www"), status=status)
    ((_, _, reason),) = runs.told
    assert reason.startswith(f"{NEW.fingerprint[:12]} was revoked (")


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=1)], ids=["behind", "ahead"])
def test_a_clock_that_is_a_day_off_ends_none(off: timedelta) -> None:
    runs, notes = Runs(), list[Any]()
    acts = GraceActivities(around(runs, notes, status=REVOKED))
    with pytest.raises(ClockWrong):
        started(datetime.now(UTC) + off).run(acts.end_grace, EndGrace(certificate="www"))
    assert (runs.told, notes) == ([], [])
