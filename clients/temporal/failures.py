"""How an exception leaves a worker: as one of the catalogue's errors, and without stack, path or SQL.

- `RedoubtError` becomes an `ApplicationError` of its code: retryable as the catalogue says unless it was given up, with
  its text, and the correlation ID and what to do as details. What its text leaves out (`schemas.redaction`) is in the
  worker's log.
- Temporal's own failures (cancelled, timeout, activity, child workflow, and an `ApplicationError` that somebody has
  phrased for the wire) keep their kind and text, redacted, and a cause only if that is such a failure too.
- Anything else becomes `Internal` with nothing but the correlation ID; the worker's log has the exception.
- Stack traces stay empty; messages and details are encoded by the codec.

In workflow code `RedoubtError` fails the run (`FAIL_THE_RUN`), and an unknown exception fails the workflow task only:
a bug waits for its fix, it does not fail a saga.
"""

import logging
from datetime import timedelta
from typing import Final

from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverterWithEncodedAttributes, PayloadConverter
from temporalio.exceptions import ApplicationError, FailureError

from clients.temporal.correlation import current_id
from clients.temporal.keyring import PayloadRefused
from schemas.errors import DependencyUnavailable, Internal, InvalidInput, RedoubtError
from schemas.redaction import redacted

FAIL_THE_RUN: Final[tuple[type[Exception], ...]] = (RedoubtError,)
"""The exceptions that fail a run when workflow code raises them, beside Temporal's own failures."""

_MAX_REASONS: Final = 5
_MAX_NAME: Final = 40
_ECHOING: Final = {"union_tag_invalid": "none of the kinds that are known"}
"""pydantic's texts that quote the value, and what is said instead."""

_log = logging.getLogger(__name__)


class RedoubtFailureConverter(DefaultFailureConverterWithEncodedAttributes):
    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        wire = _for_the_wire(exception)
        # The base class writes the stack into the failure, and follows whatever the cause is: hide both from it.
        hidden = (wire.__traceback__, wire.__cause__, wire.__context__, wire.__suppress_context__)
        cause = wire.__cause__ if isinstance(wire.__cause__, FailureError | RedoubtError) else None
        wire.__traceback__, wire.__context__, wire.__cause__ = None, None, cause
        try:
            super().to_failure(wire, payload_converter, failure)
        finally:
            wire.__traceback__, wire.__cause__, wire.__context__, wire.__suppress_context__ = hidden


def application_error(error: RedoubtError) -> ApplicationError:
    """As it goes over the wire."""
    delay = None
    if error.retryable and error.retry_after_s is not None:
        delay = timedelta(seconds=error.retry_after_s)
    details = {"correlation_id": current_id(), "what_to_do": error.type.what_to_do}
    return ApplicationError(
        str(error),
        details,
        type=error.code,
        non_retryable=not error.retryable,
        next_retry_delay=delay,
    )


def reasons(refused: ValidationError) -> str:
    """Where and why a value was refused, for people: field paths and reasons, never the value."""
    errors = refused.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"{_path(error['loc'])}: {_ECHOING.get(error['type'], error['msg'])}"
        for error in errors[:_MAX_REASONS]
    ]
    more = len(errors) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _path(location: tuple[int | str, ...]) -> str:
    """A name that does not look like one of ours could be a value in the wrong place."""
    return ".".join(_name(part) for part in location) or "the input"


def _name(part: int | str) -> str:
    if isinstance(part, int) or (part.isidentifier() and part.isascii() and len(part) <= _MAX_NAME):
        return str(part)
    return "(a name that is not shown)"


def _for_the_wire(exception: BaseException) -> BaseException:
    if isinstance(exception, RedoubtError):
        _keep_in_full(exception)
        return application_error(exception)
    if isinstance(exception, PayloadRefused):
        return application_error(DependencyUnavailable(str(exception)))
    if isinstance(exception, ApplicationError) and str(exception).endswith("Failed decoding arguments"):
        # An activity's: retried, since our own workflow sent them and a worker of another version may take them.
        return _for_the_wire(exception.__cause__ or RuntimeError())
    if isinstance(exception, FailureError):
        return _reworded(exception) if isinstance(exception, ApplicationError) else exception
    if isinstance(exception, RuntimeError):
        return _refused_message(exception) or _internal(exception)
    return _internal(exception)


def _keep_in_full(error: RedoubtError) -> None:
    """Workflow code raises nothing of a host's, and a replay would log it again."""
    if error.in_full != error.detail and not workflow.in_workflow():
        _log.warning("in full, correlation ID %s: %s: %s", current_id() or "none", error.code, error.in_full)


def _reworded(error: ApplicationError) -> ApplicationError:
    """Of ours it is redacted already; the SDK raises some too. One that came over the wire goes on as it came."""
    words = redacted(error.message)
    if error.failure is not None or words == error.message:
        return error
    other = ApplicationError(
        words,
        *error.details,
        type=error.type,
        non_retryable=error.non_retryable,
        next_retry_delay=error.next_retry_delay,
        category=error.category,
    )
    other.__cause__ = error.__cause__
    return other


def _refused_message(exception: RuntimeError) -> ApplicationError | None:
    """The SDK's words for an update or query that does not fit: it would quote the name that was sent."""
    if str(exception) == "Failed decoding arguments":
        refused = exception.__cause__
        told = reasons(refused) if isinstance(refused, ValidationError) else "it is not JSON"
        return application_error(InvalidInput(f"The argument was refused: {told}."))
    if "handler for '" in str(exception):
        return application_error(InvalidInput("The workflow has no update or query of this name."))
    return None


def _internal(exception: BaseException) -> ApplicationError:
    correlation_id = current_id()
    if not workflow.in_workflow():
        _log.error("unknown exception, correlation ID %s", correlation_id or "none", exc_info=exception)
    return application_error(
        Internal(f"Something unknown happened (correlation ID {correlation_id or 'none'}).")
    )
