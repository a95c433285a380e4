"""Which certificate a name gets, and what a failed handshake is counted as."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.tls import OTHER, REASONS, chosen, reason, supported_groups

LABEL = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
CARRIED = [("www.example.com", "example.com"), ("*.example.com",), ("API.example.org",)]


@pytest.mark.parametrize(
    ("name", "at"),
    [
        (None, 0),
        ("www.example.com", 0),
        ("WWW.Example.COM.", 0),
        ("a.example.com", 1),
        ("a.b.example.com", None),
        (".example.com", None),
        ("api.example.org", 2),
        ("example.org", None),
        ("", None),
    ],
)
def test_the_certificate_that_carries_the_name(name: str | None, at: int | None) -> None:
    assert chosen(name, CARRIED) == at


@given(st.lists(st.lists(LABEL, min_size=1), min_size=1), st.data())
def test_a_name_that_is_carried_is_found_where_it_is_carried_first(
    carried: list[list[str]], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([name for names in carried for name in names]))
    at = chosen(name, carried)
    assert at is not None
    assert name in carried[at]
    assert all(name not in names for names in carried[:at])


@given(st.text(), st.none() | st.integers())
def test_nobody_makes_up_a_reason(said: str, code: int | None) -> None:
    assert reason(said, code) in REASONS


def test_reasons_are_told_apart() -> None:
    assert reason("CERTIFICATE_VERIFY_FAILED", 10) == "client-certificate-expired"
    assert reason("CERTIFICATE_VERIFY_FAILED", 23) == "client-certificate-revoked"
    assert reason("TLSV1_ALERT_UNKNOWN_CA") == "refused-by-client"
    assert reason(None) == OTHER


def test_the_groups_of_a_client_are_read_from_its_first_message() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ecdh_curve("secp384r1")
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    assert supported_groups(out.read()) == (0x0018,)


@given(st.binary(max_size=300))
def test_anything_else_has_no_groups(noise: bytes) -> None:
    try:
        found = supported_groups(noise)
    except ValueError:
        return
    assert all(0 <= one < 1 << 16 for one in found)
