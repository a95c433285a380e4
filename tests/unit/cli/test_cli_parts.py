"""The parts of the commands that decide something, without a cluster."""

import asyncio
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.converter import PayloadCodec
from temporalio.service import RPCError, RPCStatusCode

from cli.checks import Check, Concern, State, checked
from cli.cluster import kind_of, speaking
from cli.following import Seen
from cli.histories import decoded, unreadable
from cli.listing import Filter
from cli.output import ExitCode, Format, cell, clean, record, table
from schemas.errors import (
    CaUnavailable,
    DependencyUnavailable,
    InvalidInput,
    InvalidReference,
    NotAllowed,
    RedoubtError,
    UnknownSubject,
)


def test_a_filter_becomes_a_query_of_its_own_types_only() -> None:
    assert Filter().query() == (
        "WorkflowType IN ('CertificateRenewal', 'CertificateSweep', 'CertificateRevocation')"
    )
    assert Filter("CertificateSweep", "done", "all", running=True).query() == (
        "WorkflowType IN ('CertificateSweep') AND RedoubtPhase = 'done' AND RedoubtSubject = 'all' "
        "AND ExecutionStatus = 'Running'"
    )


@pytest.mark.parametrize("value", ["x' OR 'a' = 'a", 'x"', "x\\", "x`", "x\n", "x" * 201])
def test_a_filter_can_not_leave_its_quotes(value: str) -> None:
    with pytest.raises(InvalidInput):
        Filter(subject=value).query()


def test_an_id_s_first_part_tells_its_type() -> None:
    found = kind_of("certificate-renewal/www")
    assert found is not None
    assert found.name == "CertificateRenewal"
    assert kind_of("theirs/www") is None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (RPCStatusCode.NOT_FOUND, UnknownSubject),
        (RPCStatusCode.PERMISSION_DENIED, NotAllowed),
        (RPCStatusCode.INVALID_ARGUMENT, InvalidInput),
        (RPCStatusCode.UNAVAILABLE, DependencyUnavailable),
        (RPCStatusCode.INTERNAL, DependencyUnavailable),
    ],
)
def test_what_the_server_says_is_told_in_our_words(status: RPCStatusCode, error: type[RedoubtError]) -> None:
    with pytest.raises(error) as told, speaking("The run x"):
        raise RPCError("internal words of the server", status, b"")
    assert told.value.detail.startswith("The run x ")
    assert "internal words" not in str(told.value)


@pytest.mark.parametrize(
    ("state", "error", "code"),
    [
        ("RUNNING", {}, ExitCode.OK),
        ("COMPLETED", {}, ExitCode.OK),
        ("FAILED", {"code": "VerificationFailed"}, ExitCode.VERIFICATION),
        ("FAILED", {"code": "CaUnavailable"}, ExitCode.UNREACHABLE),
        ("FAILED", {"code": "NoSuchCode"}, ExitCode.FAILED),
        ("TERMINATED", {}, ExitCode.FAILED),
        ("CANCELED", {}, ExitCode.FAILED),
    ],
)
def test_how_a_run_ended_decides_the_exit_code(state: str, error: dict[str, str], code: ExitCode) -> None:
    seen = Seen("id", "run", "type", state, "phase", "then", "", "link", error=error)
    assert seen.exit_code is code


def _raises(error: Exception) -> Check:
    def look() -> str:
        raise error

    return Check("it", look, "mend it")


@pytest.mark.parametrize(
    ("check", "state", "saw"),
    [
        (Check("it", lambda: "well", "mend it"), State.OK, "well"),
        (_raises(Concern("odd")), State.WARNING, "odd"),
        (_raises(CaUnavailable("away.")), State.AWAY, "away."),
        (_raises(InvalidReference("open.")), State.BROKEN, "open."),
        (_raises(ZeroDivisionError("inner words")), State.BROKEN, "unknown error: ZeroDivisionError"),
    ],
)
def test_a_check_s_finding_tells_away_from_broken(check: Check, state: State, saw: str) -> None:
    [found] = checked(check)
    assert (found.check, found.state, found.saw) == ("it", state, saw)
    assert found.mend == ("" if state is State.OK else "mend it")


class Reversing(PayloadCodec):
    async def encode(self, payloads: Any) -> list[Payload]:
        return [Payload(metadata={"encoding": b"reversed"}, data=one.data[::-1]) for one in payloads]

    async def decode(self, payloads: Any) -> list[Payload]:
        if any(one.data == b"locked" for one in payloads):
            raise RuntimeError("the key is missing")
        return await self.encode(payloads)


def _history(text: bytes) -> WorkflowHistory:
    event = HistoryEvent()
    started = event.workflow_execution_started_event_attributes
    started.input.payloads.append(Payload(data=text))
    started.header.fields["x"].data = b"cba"
    started.memo.fields["m"].data = b"fed"
    started.search_attributes.indexed_fields["RedoubtPhase"].data = b"plain"
    started.continued_failure.encoded_attributes.data = b"ihg"
    started.continued_failure.cause.encoded_attributes.data = b"lkj"
    return WorkflowHistory("id", [event])


def test_every_payload_of_a_history_is_decoded_in_a_copy() -> None:
    history = _history(b"321")
    plain = asyncio.run(decoded(history, Reversing())).events[0].workflow_execution_started_event_attributes
    assert plain.input.payloads[0].data == b"123"
    assert plain.header.fields["x"].data == b"abc"
    assert plain.memo.fields["m"].data == b"def"
    assert plain.continued_failure.encoded_attributes.data == b"ghi"
    assert plain.continued_failure.cause.encoded_attributes.data == b"jkl"
    assert plain.search_attributes.indexed_fields["RedoubtPhase"].data == b"plain"
    kept = history.events[0].workflow_execution_started_event_attributes
    assert kept.input.payloads[0].data == b"321"


def test_a_missing_key_is_told_before_a_replay() -> None:
    assert asyncio.run(unreadable(_history(b"locked"), Reversing())) == "the key is missing"
    assert asyncio.run(unreadable(_history(b"open"), Reversing())) == ""


def test_what_comes_from_outside_can_not_drive_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert clean("a\x1b[2Jb\x9bc\td") == "a\ufffd[2Jb\ufffdc\td"
    assert clean("for \u202eanna\u2069\u2028") == "for \ufffdanna\ufffd\ufffd"
    table([{"x": "\x1b]0;owned\x07", "y": "[red]no markup[/red]"}], ("x", "y"), Format.TEXT)
    record({"x": "\x1b[31m"}, Format.TEXT)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[red]no markup[/red]" in out


def test_cells_are_words() -> None:
    assert [cell(one) for one in (None, True, False, ["a", "b"], 7)] == ["", "yes", "no", "a, b", "7"]


def test_each_form_prints_rows(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y" * 300}]
    table(rows, ("b",), Format.TEXT)
    assert "y" * 300 in capsys.readouterr().out
    table(rows, ("b",), Format.JSON)
    assert capsys.readouterr().out.startswith('[\n  {\n    "a": 1')
    table(rows, ("b",), Format.JSONL)
    assert capsys.readouterr().out.splitlines()[0] == '{"a": 1, "b": "x"}'
    table([], ("b",), Format.TEXT, empty="nothing")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "nothing\n")
