"""An operation reaches its own certificate, its plan's targets and its plan's issuers, whatever a step names."""

from types import SimpleNamespace
from typing import Any, Literal

import pytest
from pydantic import ValidationError
from temporalio.testing import ActivityEnvironment

from activities.certificates.issuing import IssuingActivities
from activities.certificates.switching import SwitchingActivities
from schemas.certificates import ORDERS_WITH_ONE_ISSUER, Close, StepInput
from schemas.errors import CaRefused, Fenced, NotAuthorized
from store import Operation
from tests.integration.workflows.stand_ins import plan

OWN = StepInput(operation="op-1", certificate="www", group="shared", target="web-1", issuer="one")


def around() -> Any:
    """The records with one open operation on `www`, and an inventory in which `db` has a target too."""
    opened = Operation(
        operation="op-1",
        kind="CertificateRenewal",
        subject="www",
        workflow_id="certificate-renewal/www",
        correlation_id="",
        state=plan().model_dump(mode="json"),
        undoing=False,
        closed=None,
    )
    target, strange = SimpleNamespace(name="web-1"), SimpleNamespace(name="db-1")
    inventory = {"www": SimpleNamespace(targets=(target, strange)), "db": SimpleNamespace(targets=(strange,))}
    journal = SimpleNamespace(operation=lambda _: opened, steps=lambda _: ())
    return SimpleNamespace(
        inventory=inventory, journal=journal, distrusted=frozenset({"two"}), seals=SimpleNamespace()
    )


def test_an_issuer_that_is_distrusted_since_it_was_planned_is_used_no_more() -> None:
    distrusted = OWN.model_copy(update={"issuer": "two"})
    steps, issuing = SwitchingActivities(around()), IssuingActivities(around())
    for step in (issuing.obtain_certificate, steps.stage, steps.switch, steps.verify):
        with pytest.raises(CaRefused, match="distrusted_issuers"):
            ActivityEnvironment().run(step, distrusted)
    assert steps._planned(distrusted.model_copy(update={"issuer": ""})) == plan()


@pytest.mark.parametrize(
    "other", [{"certificate": "db", "target": "db-1"}, {"target": "db-1"}, {"group": "other"}]
)
def test_a_step_reaches_no_target_outside_its_operations_plan(other: dict[str, str]) -> None:
    steps = SwitchingActivities(around())
    assert steps._existing(steps._planned(OWN), OWN.target).name == "web-1"
    for step in (steps.stage, steps.switch, steps.verify, steps.restore):
        with pytest.raises(NotAuthorized, match="does not reach"):
            ActivityEnvironment().run(step, OWN.model_copy(update=other))


def test_a_step_orders_from_no_issuer_outside_its_operations_plan() -> None:
    with pytest.raises(NotAuthorized, match="does not reach"):
        ActivityEnvironment().run(
            IssuingActivities(around()).obtain_certificate, OWN.model_copy(update={"issuer": "three"})
        )


@pytest.mark.parametrize("attempt", [0, ORDERS_WITH_ONE_ISSUER + 1])
def test_a_step_names_no_order_beyond_those_that_a_renewal_may_place(attempt: int) -> None:
    """Whoever can write to Temporal could else place any number of them with one allowed start."""
    with pytest.raises(ValidationError, match="attempt"):
        StepInput.model_validate({**OWN.model_dump(), "attempt": attempt})


def test_nothing_is_put_back_while_the_operation_goes_forward() -> None:
    """Whoever can write to Temporal can start this step, in a grace say, and no gate asks who undoes."""
    with pytest.raises(Fenced, match="does not undo itself"):
        ActivityEnvironment().run(SwitchingActivities(around()).restore, OWN)


@pytest.mark.parametrize("outcome", ["renewed", "undone"])
def test_an_operation_in_the_middle_is_closed_as_neither(outcome: Literal["renewed", "undone"]) -> None:
    surroundings, closed = around(), []
    step = SimpleNamespace(step="switch/web-1", result={"fingerprint": "f"})
    surroundings.journal.steps = lambda _: (step,)
    surroundings.journal.close = lambda *given: closed.append(given)
    close = Close(operation=OWN.operation, certificate="www", outcome=outcome, why="")
    with pytest.raises(NotAuthorized, match="do not show"):
        ActivityEnvironment().run(SwitchingActivities(surroundings).close_renewal, close)
    assert not closed
