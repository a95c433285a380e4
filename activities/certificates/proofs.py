"""Proofs that were published for a CA: kept in the journal before anybody sees them, and taken away whatever happens.

An attempt that ends well takes its own away. One that is killed, or ends while the CA may be about to look, leaves them
to the next attempt at the same order. Once an order is given up (another one is placed, or the operation is closed)
what was kept of it is withdrawn here. A CA that can't be wired any more (it was taken out of the settings) is told of
in the log.
"""

import structlog
from pydantic import JsonValue, TypeAdapter

from activities.certificates.steps import Surroundings
from clients.challenges import Proof
from clients.issuers import ShowsProofs
from schemas.errors import RedoubtError

PROOFS, AUTHORIZE = "proofs/", "authorize/"

_PROOFS = TypeAdapter(tuple[Proof, ...])
_log = structlog.get_logger("activities.certificates")


def kept(proofs: tuple[Proof, ...]) -> dict[str, JsonValue]:
    """As a step's result. None of it is secret: the CA and everybody else may see it."""
    return {"proofs": _PROOFS.dump_python(proofs, mode="json")}


def withdraw_given_up(around: Surroundings, operation: str, going_on: str = "") -> None:
    """Of every order of the operation that has not shown control, but for the one that is `going_on`."""
    steps = {step.step: step.result for step in around.journal.steps(operation)}
    for step, result in steps.items():
        order = step.removeprefix(PROOFS)
        if step.startswith(PROOFS) and result and order != going_on and not steps.get(AUTHORIZE + order):
            _withdraw(around, order.split("/")[1], _PROOFS.validate_python(result["proofs"]))


def _withdraw(around: Surroundings, name: str, proofs: tuple[Proof, ...]) -> None:
    try:
        issuer = around.issuer(name)
    except RedoubtError as error:
        _log.warning("proofs not withdrawn", issuer=name, why=error.in_full)
        return
    if isinstance(issuer, ShowsProofs):
        issuer.withdraw(proofs)
