"""The lasting record is believed for its account and its CA alone, and read as a CA reads it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.persistent_proofs import allows, record

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DOMAINS = ("ca.example.net", "ca.example.org")
ACCOUNT = "https://ca.example.net/account/7"

_WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789-./:", min_size=1, max_size=40)


@given(_WORD, _WORD, st.booleans(), st.booleans())
def test_what_is_written_is_believed_for_a_wildcard_only_if_it_was_written_for_one(
    domain: str, account: str, written: bool, asked: bool
) -> None:
    text = record(domain, account, wildcard=written)
    assert allows(text, (domain,), account, wildcard=asked, now=NOW) == (written or not asked)


@given(_WORD, _WORD, _WORD, _WORD)
def test_another_account_or_ca_is_never_believed(domain: str, other: str, account: str, third: str) -> None:
    text = record(domain, account, wildcard=True)
    assert allows(text, (other,), account, wildcard=False, now=NOW) == (other == domain)
    assert allows(text, (domain,), third, wildcard=False, now=NOW) == (third == account)


@given(st.text(max_size=80))
def test_whatever_stands_there_can_be_judged(text: str) -> None:
    assert allows(text, DOMAINS, ACCOUNT, wildcard=False, now=NOW) in {True, False}


def _until(seconds: int) -> str:
    return f"ca.example.org; accounturi={ACCOUNT}; persistUntil={int(NOW.timestamp()) + seconds}"


@pytest.mark.parametrize(
    ("text", "believed"),
    [
        (f"ca.example.org;accounturi={ACCOUNT}", True),
        (f" ca.example.org \t; AccountURI = {ACCOUNT} ; policy=other", True),
        (f"ca.example.org; accounturi={ACCOUNT}; policy=WildCard", True),
        (_until(0), True),
        (_until(-1), False),
        (f"ca.example.org; accounturi={ACCOUNT}; persistUntil=soon", False),
        (f"ca.example.org; accounturi={ACCOUNT}; persistUntil=²", False),
        (f"ca.example.org; accounturi={ACCOUNT};", False),
        (f"ca.example.org; accounturi={ACCOUNT}; accounturi={ACCOUNT}", False),
        ("ca.example.org", False),
        ("", False),
    ],
)
def test_it_is_read_as_a_ca_reads_it(text: str, believed: bool) -> None:
    assert allows(text, DOMAINS, ACCOUNT, wildcard=False, now=NOW) == believed


def test_time_passes() -> None:
    later = NOW + timedelta(seconds=2)
    assert not allows(_until(1), DOMAINS, ACCOUNT, wildcard=False, now=later)
