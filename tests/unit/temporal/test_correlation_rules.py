"""The rules of correlation IDs and traceparent, by properties and by the W3C's own examples."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.correlation import RANDOM_BYTES, begin, child, parse_traceparent, well_formed

W3C = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
randomness = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
hexes = st.text(alphabet="0123456789abcdef")
traceparents = st.builds(
    "00-{:032x}-{:016x}-{:02x}".format,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 255),
)


def test_it_reads_the_standards_example() -> None:
    trace = parse_traceparent(W3C)
    assert trace is not None
    assert trace == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        f"{W3C}-00",
        f"{W3C}\n",
        f" {W3C}",
        W3C[:-1],
        "01" + W3C[2:] + "00",
    ],
)
def test_what_the_standard_calls_invalid_is_not_read(header: str) -> None:
    assert parse_traceparent(header) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse_traceparent(f"cc{W3C[2:]}-what-comes-later") == parse_traceparent(W3C)


@given(st.text(max_size=80))
def test_any_text_is_either_kept_or_replaced_by_a_well_formed_id(text: str) -> None:
    made = begin(bytes(range(RANDOM_BYTES)), text)
    assert well_formed(made.id)
    assert (made.id == text) == well_formed(text)


@given(st.text(max_size=70))
def test_a_well_formed_id_needs_no_escaping_anywhere(text: str) -> None:
    if well_formed(text):
        assert re.fullmatch(r"[A-Za-z0-9._:-]{8,64}", text)


@given(randomness)
def test_what_begins_alone_has_valid_ids_and_one_name_for_both(random: bytes) -> None:
    made = begin(random)
    assert parse_traceparent(made.traceparent) == (made.trace_id, made.span_id, True)
    assert made.id == made.trace_id
    assert made.parent_span_id == ""


@given(randomness, traceparents)
def test_the_receiver_is_a_child_in_the_callers_trace(random: bytes, header: str) -> None:
    trace = parse_traceparent(header)
    assert trace is not None
    made = begin(random, "a-request-1", header)
    assert (made.id, made.trace_id, made.parent_span_id) == ("a-request-1", trace.trace_id, trace.span_id)
    assert made.sampled == trace.sampled
    assert made.span_id != trace.span_id
    assert parse_traceparent(made.traceparent) is not None


@given(randomness, st.binary(min_size=8, max_size=8))
def test_parent_and_child_share_the_trace_and_never_the_span(random: bytes, more: bytes) -> None:
    parent = begin(random)
    made = child(parent, more)
    assert (made.id, made.trace_id, made.parent_span_id) == (parent.id, parent.trace_id, parent.span_id)
    assert made.span_id != parent.span_id
    assert parse_traceparent(made.traceparent) is not None


@given(randomness)
def test_the_parents_own_bytes_and_zeros_still_give_another_span(random: bytes) -> None:
    parent = begin(random)
    for bytes_again in (bytes.fromhex(parent.span_id), bytes(8)):
        made = child(parent, bytes_again)
        assert made.span_id != parent.span_id
        assert int(made.span_id, 16) != 0
        assert len(made.span_id) == 16


@given(hexes)
def test_ids_of_zeros_are_never_made(text: str) -> None:
    made = begin(bytes(RANDOM_BYTES), text or None)
    assert int(made.trace_id, 16)
    assert int(made.span_id, 16)
