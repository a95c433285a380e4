"""A renewal in its grace is closed only for who may end that: else the next operation could begin."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from activities.certificates.in_grace import keep_ended
from activities.certificates.planning import PlanningActivities
from activities.certificates.switching import SwitchingActivities
from activities.looking import Looks
from schemas.certificates import CertificateRenewalInput, Close
from schemas.errors import InItsGrace, NotAuthorized
from schemas.evidence import Event
from schemas.principals import Act
from schemas.runs import Steer, Told, Word
from tests.integration.workflows.stand_ins import TARGETS, plan
from tests.unit.policies.people import policy
from tests.unit.policies.test_steering import ANNA_MAY, ID, KIND, House, house, signed

__all__ = ["house"]

AN_HOUR = 3600.0
WHY = Steer(reason="enough")
NEW = "f" * 64


class Here:
    """A renewal, every target of which has just been verified."""

    def __init__(self, held: House, grace_s: float = AN_HOUR) -> None:
        self.held = held
        opened = held.journal.open(
            kind=KIND,
            subject="www",
            workflow_id=ID,
            run=f"{ID}/1",
            who="service:certificates",
            correlation_id="",
            state=plan(grace_s=grace_s).model_dump(mode="json"),
        )
        self.operation = opened.operation
        for name in TARGETS:
            self.did(f"verify/{name}")
        self.around: Any = SimpleNamespace(
            journal=held.journal,
            steering=held.steering,
            inventory={},
            seals=None,
            looks=Looks(),
            measures=SimpleNamespace(closed=lambda *_: None),
            approvals=SimpleNamespace(needed=lambda *_: False),
            gate=SimpleNamespace(admit=lambda *_: None, record=lambda *_: None),
        )

    def did(self, step: str) -> None:
        self.held.journal.keep(self.operation, step, Event.CERTIFICATE_VERIFIED, {}, {"fingerprint": NEW})

    def closes(self, word: Word | None = None, **info: Any) -> None:
        close = Close(operation=self.operation, certificate="www", outcome="renewed", word=word)
        self.held.does(lambda: SwitchingActivities(self.around).close_renewal(close), **info)
        assert self.closed == "renewed"

    @property
    def closed(self) -> str | None:
        return self.held.journal.operation(self.operation).closed

    def told(self, act: Any = Act.END_GRACE) -> Word:
        return self.held.hear(Told(act=act, steer=WHY), signed(act, steer=WHY), activity_id=act)


@pytest.fixture
def here(house: Callable[..., House]) -> Here:
    return Here(house(policy(ANNA_MAY)))


def test_in_its_grace_it_is_closed_for_nobodys_word(here: Here) -> None:
    with pytest.raises(InItsGrace):
        here.closes()
    assert here.closed is None


def test_it_is_for_a_word_that_its_own_run_has_taken_and_for_no_other(here: Here) -> None:
    word, paused = here.told(), here.told(Act.PAUSE)
    forged = word.model_copy(update={"request": signed(Act.END_GRACE, steer=WHY)})
    for another in (forged, paused, paused.model_copy(update={"told": word.told})):
        with pytest.raises(NotAuthorized):
            here.closes(another)
    with pytest.raises(NotAuthorized, match="has not taken"):
        here.closes(word, workflow_run_id="2")
    with pytest.raises(NotAuthorized, match="by its own run"):
        here.closes(word, workflow_id="certificate-renewal/db")
    assert here.closed is None
    assert '"authorization.refused"' in here.held.evidence()
    here.closes(word)


def test_it_is_once_a_service_of_ours_has_ended_the_grace(here: Here) -> None:
    keep_ended(here.held.journal, here.operation, "a revocation waits for it")
    here.closes()


def test_it_is_for_who_has_started_the_run_that_takes_it_up_without_a_grace(here: Here) -> None:
    here.around.inventory["www"] = None
    planning = PlanningActivities(here.around)
    for skip_grace in (False, True):
        with pytest.raises(InItsGrace):
            here.closes()
        given = CertificateRenewalInput(certificate="www", skip_grace=skip_grace)
        here.held.does(lambda: planning.plan_renewal(given))  # noqa: B023 - done here
    del here.around.inventory["www"]
    here.closes()


@pytest.mark.parametrize("begun", ["revoke", "destroy"])
def test_it_is_once_something_was_retired(here: Here, begun: str) -> None:
    here.did(f"{begun}/{NEW}")
    here.closes()


def test_it_is_once_its_grace_is_over_by_the_records(house: Callable[..., House]) -> None:
    Here(house(policy(ANNA_MAY)), grace_s=0).closes()
    here = Here(house(policy(ANNA_MAY)), grace_s=AN_HOUR)
    steps = here.held.journal.steps(here.operation)
    past = [one.model_copy(update={"ended": datetime.now(UTC) - timedelta(hours=1)}) for one in steps]
    here.around.journal = SimpleNamespace(
        **{name: getattr(here.held.journal, name) for name in ("operation", "result", "close")},
        steps=lambda _: past,
    )
    here.closes()


def test_without_a_policy_nobody_is_asked(house: Callable[..., House]) -> None:
    Here(house(None)).closes()
