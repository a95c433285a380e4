"""Canonical JSON (RFC 8785): one value has exactly one encoding, so that its hash names it.

- Object keys are sorted by their UTF-16 code units; there is no white space.
- Numbers are written as ECMAScript writes them. An integer beyond ±(2^53-1) is refused, since other readers
  would round it: give it as a string. So are NaN and the infinities.
- Strings are UTF-8 and escaped only where JSON demands it; a lone surrogate is refused.
- Nesting deeper than 64 is refused, so that no input can exhaust the stack.
"""

import hashlib
import json
import math
from collections.abc import Iterator

from pydantic import JsonValue

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64
_PLAIN_DIGITS = 21  # ECMAScript writes numbers below 10^21 without an exponent
_LEADING_ZEROS = -6  # and those from 10^-6 on


class NotCanonicalError(ValueError):
    """The value has no canonical encoding."""


def encode(value: JsonValue) -> bytes:
    text = "".join(_parts(value, 0))
    try:
        return text.encode()
    except UnicodeEncodeError as lone:
        raise NotCanonicalError("a string holds a lone surrogate") from lone


def digest(value: JsonValue) -> str:
    """SHA-256 of the canonical encoding, in hexadecimal: what stands for a value that is too large or too private."""
    return hashlib.sha256(encode(value)).hexdigest()


def _parts(value: JsonValue, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise NotCanonicalError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        yield from _object(value, depth)
    elif isinstance(value, list | tuple):
        yield from _array(value, depth)
    else:
        yield _scalar(value)


def _object(value: dict[str, JsonValue], depth: int) -> Iterator[str]:
    if not all(isinstance(key, str) for key in value):
        raise NotCanonicalError("an object's keys are strings")
    between = "{"
    for key in sorted(value, key=_utf16):
        yield f"{between}{json.dumps(key, ensure_ascii=False)}:"
        yield from _parts(value[key], depth + 1)
        between = ","
    yield "}" if value else "{}"


def _array(value: list[JsonValue] | tuple[JsonValue, ...], depth: int) -> Iterator[str]:
    between = "["
    for item in value:
        yield between
        yield from _parts(item, depth + 1)
        between = ","
    yield "]" if value else "[]"


def _scalar(value: JsonValue) -> str:
    if isinstance(value, str):
        return json.dumps(str(value), ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _number(value)
    raise NotCanonicalError(f"{type(value).__name__} is no JSON type")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _integer(value: int) -> str:
    if abs(value) > MAX_SAFE_INTEGER:
        raise NotCanonicalError("an integer beyond 2^53-1 is given as a string")
    return str(int(value))


def _number(value: float) -> str:
    """ECMAScript's Number::toString: Python finds the same shortest digits and places them differently."""
    if not math.isfinite(value):
        raise NotCanonicalError("NaN and the infinities are no JSON numbers")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    digits, point = _shortest(abs(value))
    return sign + _placed(digits, point)


def _shortest(value: float) -> tuple[str, int]:
    """The shortest digits that read back as `value`, and where the decimal point stands in them."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)
    digits = whole + fraction
    stripped = digits.lstrip("0")
    return stripped.rstrip("0"), point - (len(digits) - len(stripped))


def _placed(digits: str, point: int) -> str:
    if len(digits) <= point <= _PLAIN_DIGITS:
        return digits + "0" * (point - len(digits))
    if 0 < point <= _PLAIN_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if _LEADING_ZEROS < point <= 0:
        return "0." + "0" * -point + digits
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{point - 1:+d}"
