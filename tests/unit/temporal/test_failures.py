"""What leaves a worker when something goes wrong, and what does not."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    FailureError,
    RetryState,
    TimeoutError,  # noqa: A004 - Temporal's own
    TimeoutType,
)

from clients.temporal.converter import RedoubtPayloadConverter
from clients.temporal.correlation import correlated
from clients.temporal.failures import RedoubtFailureConverter
from clients.temporal.keyring import PayloadRefused
from schemas import errors
from schemas.certificates import StepInput
from schemas.errors import CATALOGUE, RedoubtError

CANARY = "SELECT pin FROM tokens -- /srv/redoubt/secret.py"


def on_the_wire(error: BaseException) -> Failure:
    failure = Failure()
    RedoubtFailureConverter().to_failure(error, RedoubtPayloadConverter(), failure)
    return failure


def as_received(failure: Failure) -> FailureError:
    error = RedoubtFailureConverter().from_failure(failure, RedoubtPayloadConverter())
    assert isinstance(error, FailureError)
    return error


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """With a traceback and a context, as it arrives from real code."""
    try:
        try:
            raise KeyError(CANARY)  # noqa: TRY301 - so that the error has a context
        except KeyError:
            raise error from cause
    except Exception as caught:  # noqa: BLE001 - whatever the test gave
        return caught


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_error_of_the_catalogue_keeps_its_code_and_says_what_to_do(code: str) -> None:
    kind = getattr(errors, code)
    with correlated("request-0001"):
        failure = on_the_wire(raised(kind("The thing is so.", retry_after_s=7), cause=OSError(CANARY)))
    assert CANARY.encode() not in failure.SerializeToString()
    error = as_received(failure)
    assert isinstance(error, ApplicationError)
    assert error.type == code
    assert error.message == f"The thing is so. {CATALOGUE[code].what_to_do}"
    assert error.details == ({"correlation_id": "request-0001", "what_to_do": CATALOGUE[code].what_to_do},)
    assert error.non_retryable is not CATALOGUE[code].retryable
    assert error.next_retry_delay == (timedelta(seconds=7) if CATALOGUE[code].retryable else None)
    assert error.__cause__ is None


def test_an_error_that_was_given_up_is_not_tried_again() -> None:
    given_up = errors.CaRateLimited("Come back tomorrow.", retry_after_s=86_400)
    given_up.given_up = True
    error = as_received(on_the_wire(given_up))
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable, error.next_retry_delay) == ("CaRateLimited", True, None)


@given(st.text(min_size=1))
def test_an_unknown_exception_leaves_as_internal_with_nothing_of_it(text: str) -> None:
    message = f"{CANARY} {text}"
    with correlated("request-0002"):
        failure = on_the_wire(raised(ValueError(message), cause=RuntimeError(message)))
    wire = failure.SerializeToString()
    assert CANARY.encode() not in wire
    assert b".py" not in wire
    assert b"File " not in wire
    assert b"ValueError" not in wire
    error = as_received(failure)
    assert isinstance(error, ApplicationError)
    assert error.type == "Internal"
    assert "request-0002" in error.message
    assert not error.non_retryable


def test_the_real_exception_is_in_the_workers_log_under_the_same_id(caplog: pytest.LogCaptureFixture) -> None:
    with correlated("request-0003"), caplog.at_level(logging.ERROR):
        on_the_wire(raised(ValueError(CANARY)))
    assert "request-0003" in caplog.text
    assert CANARY in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        errors.ReloadFailed("web-1: /srv/hook.sh: not found"),
        ApplicationError("web-1: /srv/hook.sh: not found", {"a": 1}, type="odd", non_retryable=True),
    ],
)
def test_a_path_stays_here_whoever_phrased_it(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with correlated("request-0004"), caplog.at_level(logging.WARNING):
        received = as_received(on_the_wire(raised(error)))
    assert isinstance(received, ApplicationError)
    assert received.message.startswith("web-1: …/hook.sh: not found")
    assert received.non_retryable
    if isinstance(error, RedoubtError):
        assert "request-0004" in caplog.text
        assert "/srv/hook.sh" in caplog.text
    else:
        assert (received.type, received.details) == ("odd", ({"a": 1},))


def test_stack_and_message_stay_out_of_the_plain_fields() -> None:
    failure = on_the_wire(raised(ApplicationError("phrased for the wire", type="InvalidInput")))
    assert failure.message == "Encoded failure"
    assert failure.stack_trace == ""
    assert b"Traceback" not in failure.encoded_attributes.data
    assert b".py" not in failure.encoded_attributes.data
    assert as_received(failure).message == "phrased for the wire"


def test_the_exception_itself_is_left_as_it_was() -> None:
    cause = OSError(CANARY)
    error = raised(ApplicationError("as it was"), cause)
    before = (error.__traceback__, error.__cause__, error.__context__, error.__suppress_context__)
    on_the_wire(error)
    assert (error.__traceback__, error.__cause__, error.__context__, error.__suppress_context__) == before
    assert error.__cause__ is cause


def timed_out() -> Exception:
    error = TimeoutError("Timeout", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[])
    return raised(error, OSError(CANARY))


def activity_failed(cause: Exception) -> Exception:
    error = ActivityError(
        "Activity failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="",
        activity_type="a",
        activity_id="1",
        retry_state=RetryState.TIMEOUT,
    )
    return raised(error, cause)


@pytest.mark.parametrize(
    ("error", "kinds"),
    [
        (timed_out(), [TimeoutError]),
        (raised(CancelledError("Cancelled"), OSError(CANARY)), [CancelledError]),
        (activity_failed(timed_out()), [ActivityError, TimeoutError]),
        (activity_failed(RedoubtError("odd")), [ActivityError, ApplicationError]),
        (activity_failed(OSError(CANARY)), [ActivityError]),
    ],
)
def test_temporals_own_kinds_stay_and_lose_what_hangs_on_them(error: Exception, kinds: list[type]) -> None:
    failure = on_the_wire(error)
    assert CANARY.encode() not in failure.SerializeToString()
    assert [type(one) for one in chain(as_received(failure))] == kinds


def test_what_came_over_the_wire_goes_on_as_it_came() -> None:
    first = as_received(on_the_wire(errors.TargetUnreachable("web-1 is away.")))
    again = as_received(on_the_wire(raised(first)))
    assert isinstance(again, ApplicationError)
    assert (again.type, again.message) == (
        "TargetUnreachable",
        str(errors.TargetUnreachable("web-1 is away.")),
    )


def test_an_argument_that_does_not_fit_tells_where_and_not_what() -> None:
    try:
        StepInput.model_validate({"operation": CANARY, "nothing": CANARY})
    except ValueError as refused:
        error = raised(RuntimeError("Failed decoding arguments"), refused)
    received = as_received(on_the_wire(error))
    assert isinstance(received, ApplicationError)
    assert received.type == "InvalidInput"
    assert "certificate: Field required" in received.message
    assert CANARY not in received.message


def test_an_activity_whose_argument_does_not_fit_is_tried_again() -> None:
    error = raised(ApplicationError("Failed decoding arguments"), ValueError(CANARY))
    received = as_received(on_the_wire(error))
    assert isinstance(received, ApplicationError)
    assert (received.type, received.non_retryable) == ("Internal", False)
    error = raised(ApplicationError("Failed decoding arguments"), PayloadRefused("no key payload-codec/9"))
    received = as_received(on_the_wire(error))
    assert isinstance(received, ApplicationError)
    assert (received.type, received.non_retryable) == ("DependencyUnavailable", False)
    assert "payload-codec/9" in received.message


def test_a_missing_key_says_so_to_the_operator() -> None:
    received = as_received(on_the_wire(PayloadRefused("the payload key payload-codec/9 is missing")))
    assert isinstance(received, ApplicationError)
    assert received.type == "DependencyUnavailable"
    assert "payload-codec/9" in received.message


def test_an_unknown_update_does_not_quote_its_name() -> None:
    text = f"Update handler for '{CANARY}' expected but not found, and there is no dynamic handler."
    received = as_received(on_the_wire(RuntimeError(text)))
    assert isinstance(received, ApplicationError)
    assert received.type == "InvalidInput"
    assert CANARY not in received.message
