"""Who may end a grace: a revocation that is under way, and a CA that wants the new one replaced; nobody else."""

from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.certificates.grace import GraceActivities
from activities.looking import Looks
from clients.revocation import RevocationStatus
from schemas.certificates import EndGrace
from schemas.errors import NotAuthorized
from schemas.evidence import Event
from schemas.principals import Act
from schemas.settings.certificates import RenewalPolicy
from store import Operation, Step
from tests.integration.workflows.stand_ins import NEW, TARGETS, plan

GOOD, REVOKED = RevocationStatus(state="good"), RevocationStatus(state="revoked")
RENEWAL, REVOCATION, RUN = "op-1", "op-9", "its-run"


class Runs:
    """One renewal that ends once it has been told, or once it was looked at."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.looks = 0

    def tell(self, run: str, workflow_id: str, update: str, given: Any, _request: object, _once: str) -> bool:
        assert run == RUN
        self.told.append((workflow_id, update, given.reason))
        return True

    def open_run(self, workflow_id: str) -> str | None:
        assert workflow_id == "certificate-renewal/www"
        self.looks += 1
        return RUN if self.looks <= 2 else None


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
        note=notes.append,
    )
    target = SimpleNamespace(current=lambda: NEW.fingerprint, read=lambda _: b"chain")
    targets = tuple(SimpleNamespace(name=name) for name in TARGETS)
    never = NEW.model_copy(update={"not_after": NEW.not_after.replace(year=2126)})
    return SimpleNamespace(
        inventory={"www": SimpleNamespace(targets=targets, renew=RenewalPolicy())},
        journal=journal,
        runs=lambda: runs,
        gate=SimpleNamespace(confirm=lambda *_: {}),
        signed_update=lambda *_: None,
        target=lambda _: target,
        reader=SimpleNamespace(read=lambda _: never),
        issuer=lambda _: SimpleNamespace(trust_anchors=lambda: b""),
        revocations=SimpleNamespace(status=lambda *_: status),
        distrusted=frozenset(),
        looks=Looks(),
        service="service:certificates",
    )


def ended(asked: EndGrace, **given: Any) -> tuple[Runs, list[Any]]:
    runs, notes = Runs(), list[Any]()
    ActivityEnvironment().run(GraceActivities(around(runs, notes, **given)).end_grace, asked)
    assert runs.looks == 3, "it returns once the renewal has ended"
    return runs, notes


def test_a_revocation_that_is_under_way_ends_it_and_the_evidence_says_for_whom() -> None:
    revocation = opened(REVOCATION, "CertificateRevocation")
    runs, notes = ended(EndGrace(certificate="www", revocation=REVOCATION), revocation=revocation)
    ((workflow_id, update, reason),) = runs.told
    assert (workflow_id, update) == ("certificate-renewal/www", Act.END_GRACE)
    assert REVOCATION in reason
    ((one,)) = notes
    assert (one.what, one.operation, one.facts) == (
        Event.CERTIFICATE_GRACE_ENDED,
        RENEWAL,
        {"why": reason},
    )


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
