"""Canonical JSON against the vectors of RFC 8785, and its properties."""

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from rules.canonical import MAX_DEPTH, MAX_SAFE_INTEGER, NotCanonicalError, digest, encode

NUMBERS = {  # RFC 8785 appendix B: the IEEE 754 bits, and what ECMAScript writes
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}

json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_are_written_as_the_rfc_says(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert encode(number) == text.encode()


def test_the_rfcs_example() -> None:
    given_text = (
        r'{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
        r'"string":"\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}'
    )
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert encode(json.loads(given_text)) == expected.encode()


def test_keys_are_sorted_by_utf16_units() -> None:
    keys = ["€", "\r", "\ufb33", "1", "😀", "\x80", "ö"]
    written = json.loads(encode(dict.fromkeys(keys)))
    assert list(written) == ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]


@given(json_values)
def test_reads_back_as_the_same_value(value: JsonValue) -> None:
    assert json.loads(encode(value), parse_int=as_ecmascript_reads) == value


def as_ecmascript_reads(text: str) -> float:
    return int(text) if abs(int(text)) <= MAX_SAFE_INTEGER else float(text)


@given(json_values)
def test_a_value_has_one_encoding(value: JsonValue) -> None:
    line = encode(value)
    assert encode(json.loads(line, parse_int=as_ecmascript_reads)) == line


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 9), min_size=2))
def test_the_order_of_insertion_does_not_matter(value: dict[str, JsonValue]) -> None:
    backwards = dict(reversed(value.items()))
    assert encode(backwards) == encode(value)
    assert digest(backwards) == digest(value)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, MAX_SAFE_INTEGER + 1, -MAX_SAFE_INTEGER - 1, "\ud800", {"\udfff": 1}],
)
def test_what_others_would_read_differently_is_refused(value: JsonValue) -> None:
    with pytest.raises(NotCanonicalError):
        encode(value)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(NotCanonicalError, match="bytes is no JSON type"):
        encode({"a": b"x"})  # type: ignore[dict-item]  # the wrong type is the point
    with pytest.raises(NotCanonicalError, match="keys are strings"):
        encode({1: "a"})  # type: ignore[dict-item]  # the wrong type is the point


def test_deep_nesting_is_refused_before_the_stack_ends() -> None:
    value: JsonValue = None
    for _ in range(MAX_DEPTH):
        value = [value]
    assert encode(value)
    for _ in range(10_000):
        value = [value]
    with pytest.raises(NotCanonicalError, match="nested deeper"):
        encode(value)
