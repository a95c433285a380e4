"""What a revocation was to revoke is not forgotten: what closes it before it has, and what does not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from activities.certificates.revoking import RevokingActivities
from schemas.errors import NotAuthorized
from schemas.evidence import Event
from schemas.principals import Act
from schemas.revocations import CertificateRevocationInput, RevocationReason, RevocationStep, ToRevoke
from schemas.runs import Steer, Told, Word
from store.sql.journal import SqlJournal
from tests.integration.workflows.stand_ins import NEW, TARGETS, plan
from tests.unit.policies.people import policy
from tests.unit.policies.test_steering import ANNA_MAY, House, house, signed

__all__ = ["house"]

OLD = "c" * 64
RENEWAL, KIND, ID = "CertificateRenewal", "CertificateRevocation", "certificate-revocation/www"
GIVEN = CertificateRevocationInput(certificate="www", reason=RevocationReason.KEY_COMPROMISE)


@dataclass
class Approvals:
    state: str = ""

    def needed(self, *_: str) -> bool:
        return False

    def refused(self, _: str) -> bool:
        return self.state == "refused"

    def denied(self, _: str) -> str:
        return f"its approval is {self.state}" if self.state else ""


@dataclass
class Here:
    """An open revocation of `OLD`, which every target held when it was planned; by now they hold another."""

    held: House
    approvals: Approvals = field(default_factory=Approvals)

    def __post_init__(self) -> None:
        doomed = ToRevoke(fingerprint=OLD, serial="1", issuer="one", not_after=NEW.not_after)
        state = {"certificates": [doomed.model_dump(mode="json")], "replace": True, "why": ""}
        self.operation = self._opened(KIND, ID, {**state, "certificate": "www", "reason": "keyCompromise"})
        around: Any = SimpleNamespace(
            journal=self.journal,
            steering=self.held.steering,
            approvals=self.approvals,
            gate=SimpleNamespace(admit=lambda *_: None, record=lambda *_: None),
            inventory={"www": None},
            service="service:certificates",
        )
        self.activities = RevokingActivities(around)

    @property
    def journal(self) -> SqlJournal:
        return self.held.journal

    def _opened(self, kind: str, workflow_id: str, state: Any) -> str:
        opened = self.journal.open(
            kind=kind,
            subject="www",
            workflow_id=workflow_id,
            run=f"{workflow_id}/1",
            who="service:certificates",
            correlation_id="",
            state=state,
        )
        return opened.operation

    def renewal(self, outcome: str | None, previous: str = OLD) -> None:
        """One that comes after it, of targets that held this."""
        state = plan(previous=dict.fromkeys(TARGETS, previous)).model_dump(mode="json")
        operation = self._opened(RENEWAL, "certificate-renewal/www", state)
        if outcome is not None:
            self.journal.close(operation, outcome, {})

    def does(self, what: Callable[[], Any], **info: Any) -> Any:
        return self.held.does(what, **{"workflow_type": KIND, "workflow_id": ID, **info})

    def gives_up(self, word: Word | None = None, **info: Any) -> None:
        step = RevocationStep(operation=self.operation, certificate="www", outcome="failed", word=word)
        self.does(lambda: self.activities.close_revocation(step), **info)

    def stays_open(self, match: str, word: Word | None = None, **info: Any) -> None:
        with pytest.raises(NotAuthorized, match=match):
            self.gives_up(word, **info)
        assert self.closed is None

    @property
    def closed(self) -> str | None:
        return self.journal.operation(self.operation).closed

    def abort(self) -> Word:
        request = signed(workflow_type=KIND, workflow_id=ID)
        told = Told(act=Act.ABORT, steer=Steer(reason="a complaint"))
        word: Word = self.held.hear(told, request, workflow_type=KIND, workflow_id=ID)
        return word


@pytest.fixture(params=["with a policy", "without"])
def here(house: Callable[..., House], request: pytest.FixtureRequest) -> Here:
    return Here(house(policy(ANNA_MAY) if request.param == "with a policy" else None))


def test_once_targets_hold_another_the_same_command_goes_on_with_the_one_that_was_to_be_revoked(
    here: Here,
) -> None:
    """Planned anew it would find what replaced it, and revoke that."""
    here.renewal("renewed")
    here.approvals.state = "expired"
    here.stays_open("has been replaced")
    again = here.does(lambda: here.activities.plan_revocation(GIVEN))
    assert [one.fingerprint for one in again.certificates] == [OLD]


def test_once_a_ca_was_asked_it_stays_open_whether_it_has_answered_or_not(here: Here) -> None:
    here.approvals.state = "expired"
    step, facts = f"revoke/{OLD}", {"fingerprint": OLD}
    here.journal.begin(here.operation, step, Event.CERTIFICATE_REVOKED, {"fingerprint": OLD})
    here.stays_open(f"do not show {step}")
    here.journal.finish(here.operation, step, Event.CERTIFICATE_REVOKED, {**facts}, {"revoked": True})
    here.stays_open("a CA was asked")


def test_so_it_does_while_its_replacement_is_under_way(here: Here) -> None:
    here.approvals.state = "expired"
    here.renewal(None)
    here.stays_open("is being replaced")


@pytest.mark.parametrize("state", ["", "refused"])
def test_people_give_it_up_whatever_was_done(here: Here, state: str) -> None:
    here.renewal("renewed")
    here.journal.begin(here.operation, f"revoke/{OLD}", Event.CERTIFICATE_REVOKED, {})
    here.approvals.state = state
    here.gives_up(None if state else here.abort())
    assert here.closed == "failed"


@pytest.mark.parametrize("state", ["refused", "expired"])
def test_before_anything_was_done_it_is_closed_once_it_is_not_approved(here: Here, state: str) -> None:
    here.renewal("renewed", previous="d" * 64)  # which has nothing to do with it
    here.approvals.state = state
    here.gives_up()
    assert here.closed == "failed"


def test_it_is_closed_once_its_replacement_was_put_back(here: Here) -> None:
    here.renewal("undone")
    here.gives_up()
    assert here.closed == "failed"


def test_a_renewal_that_was_put_back_before_shows_nothing(house: Callable[..., House]) -> None:
    held = house(policy(ANNA_MAY))
    Here(held).renewal("undone")
    earlier = held.journal.unfinished(KIND)[0]
    held.journal.close(earlier.operation, "revoked", {})
    Here(held).stays_open("has not failed as far as its records show")


def test_nobodys_word_closes_it(house: Callable[..., House]) -> None:
    """Whoever can write to Temporal can start the last step, or have a step fail."""
    here = Here(house(policy(ANNA_MAY)))
    here.stays_open("nobody has signed an abort")
    told = Told(act=Act.ABORT, steer=Steer(reason="a complaint"))
    forged = Word(
        told=told, request=signed(workflow_type=KIND, workflow_id=ID), requester=here.abort().requester
    )
    here.stays_open("has not taken", forged)
    here.approvals.state = "refused"
    here.stays_open("by its own run", workflow_id="certificate-revocation/db")


def test_without_a_policy_nobody_is_asked(house: Callable[..., House]) -> None:
    here = Here(house(None))
    here.gives_up()
    assert here.closed == "failed"
