"""Proofs that were published for a CA: kept in the journal before anybody sees them, and taken away whatever happens.

An attempt that ends well takes its own away. One that is killed, or ends while the CA may be about to look, leaves them
to the next attempt at the same order. Once an order is given up (another one is placed, or the operation is closed)
what was kept of it is withdrawn here. A CA that can't be wired any more (it was taken out of the settings) is told of
in the log.
"""

from collections.abc import Iterator

import structlog
from pydantic import JsonValue, TypeAdapter

from activities.certificates.steps import Surroundings
from clients.challenges import Proof
from clients.issuers import ShowsProofs
from schemas.errors import RedoubtError

PROOFS, AUTHORIZE, _ORDER = "proofs/", "authorize/", "order/"

_PROOFS = TypeAdapter(tuple[Proof, ...])
_log = structlog.get_logger("activities.certificates")


def kept(proofs: tuple[Proof, ...]) -> dict[str, JsonValue]:
    """As a step's result. None of it is secret: the CA and everybody else may see it."""
    return {"proofs": _PROOFS.dump_python(proofs, mode="json")}


def withdraw_given_up(around: Surroundings, operation: str, going_on: str = "") -> None:
    """Of every order of the operation that has not shown control; of those that `going_on` has taken the place of.

    They are its group's that were placed before it: an earlier one, asked for again by whoever can write to Temporal,
    takes nothing from the one that runs.
    """
    steps = {step.step: step.result for step in around.journal.steps(operation)}
    for order in _given_up(tuple(steps), going_on):
        result = steps.get(PROOFS + order)
        if result and not steps.get(AUTHORIZE + order):
            _withdraw(around, order.split("/")[1], _PROOFS.validate_python(result["proofs"]))


def _given_up(steps: tuple[str, ...], going_on: str) -> Iterator[str]:
    group = going_on.partition("/")[0]
    for step in steps:
        order = step.removeprefix(_ORDER)
        if order == going_on:
            return
        if step.startswith(_ORDER) and (not going_on or order.partition("/")[0] == group):
            yield order


def _withdraw(around: Surroundings, name: str, proofs: tuple[Proof, ...]) -> None:
    try:
        issuer = around.issuer(name)
    except RedoubtError as error:
        _log.warning("proofs not withdrawn", issuer=name, why=error.in_full)
        return
    if isinstance(issuer, ShowsProofs):
        issuer.withdraw(proofs)
