"""pydantic's payload converter, with which a wrong workflow input fails its run at once.

By default a workflow task whose input can't be decoded is tried for ever. A non-retryable `InvalidInput` ends that,
with field path and reason and without the value, which could be a secret. It is raised for workflow inputs only
(and for an argument that nobody expects, where the SDK gives no type): what an activity returns is our own, and a
slip there must not fail a saga that is half-way through.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.exceptions import ApplicationError

from clients.temporal.failures import application_error, reasons
from schemas.contract import WorkflowInput
from schemas.errors import InvalidInput


class RedoubtPayloadConverter(PydanticPayloadConverter):
    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        try:
            values = super().from_payloads(payloads, type_hints)
        except Exception as refused:
            if type_hints is None or _input_among(type_hints):
                raise _invalid(refused) from None
            raise
        if type_hints is not None:
            _check_inputs(values, type_hints)
        return values


def _input_among(type_hints: Sequence[type]) -> bool:
    return any(isinstance(hint, type) and issubclass(hint, WorkflowInput) for hint in type_hints)


def _check_inputs(values: Sequence[Any], type_hints: Sequence[type]) -> None:
    """Payloads that are no JSON (null, bytes) are decoded without a look at the type."""
    for value, hint in zip(values, type_hints, strict=False):
        if isinstance(hint, type) and issubclass(hint, WorkflowInput) and not isinstance(value, hint):
            raise application_error(InvalidInput("The input is not one JSON object."))


def _invalid(refused: Exception) -> ApplicationError:
    if isinstance(refused, ValidationError):
        return application_error(InvalidInput(f"The input was refused: {reasons(refused)}."))
    return application_error(InvalidInput("The input is not in an encoding that is known here: send JSON."))
