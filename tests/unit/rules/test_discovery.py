"""Which places the words stand for, what a served certificate is taken for, and what would go into the settings."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.discovery import MOST, Finding, Place, Renewed, judge, places, to_add
from schemas.certificates import CertificateFacts
from schemas.settings.certificates import CertificateSettings


def facts(*names: str, fingerprint: str = "a" * 64) -> CertificateFacts:
    return CertificateFacts(
        fingerprint=fingerprint,
        serial="1",
        names=names,
        issuer="CN=CA",
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_after=datetime(2027, 1, 1, tzinfo=UTC),
        public_key_sha256="b" * 64,
        key_algorithm="EC-P256",
    )


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("www.example.com", ["www.example.com:443"]),
        ("WWW.example.com:8443", ["www.example.com:8443"]),
        ("192.0.2.7:1", ["192.0.2.7:1"]),
        ("[2001:db8::1]:443", ["[2001:db8::1]:443"]),
        ("2001:db8::1", ["[2001:db8::1]:443"]),
        ("192.0.2.0/30:8443", ["192.0.2.1:8443", "192.0.2.2:8443"]),
        ("[2001:db8::/127]:1", ["[2001:db8::]:1", "[2001:db8::1]:1"]),
    ],
)
def test_a_word_stands_for_its_places(word: str, found: list[str]) -> None:
    assert [str(one) for one in places([word, word])] == found


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("", "is no place"),
        ("-x:1", "is no place"),
        ("https://www.example.com", "no port"),
        ("www.example.com:0", "no port"),
        ("www.example.com:65536", "no port"),
        ("www.example.com:x", "no port"),
        ("10.0.0.0/8:443", "is the most at a time"),
        ("[2001:db8::]/32:443", "no port"),
        ("[2001:db8::/32]:443", "is the most at a time"),
        ("192.0.2.1/24:443", "is no range"),
    ],
)
def test_a_word_that_is_no_place_is_named(word: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        places([word])


def test_ranges_together_are_refused_beyond_the_most() -> None:
    with pytest.raises(ValueError, match="more than"):
        places([f"10.{n}.0.0/23:443" for n in range(3)])
    assert len(places(["10.0.0.0/22:443"])) == MOST - 2


@given(st.text())
def test_any_word_is_a_place_or_is_refused_in_words(word: str) -> None:
    found, said = [], ""
    try:
        found = places([word])
    except ValueError as refused:
        said = str(refused)
    assert bool(found) != bool(said)
    assert len(found) <= MOST


def test_an_address_is_no_server_name() -> None:
    assert Place("192.0.2.1", 443).server_name == Place("2001:db8::1", 443).server_name == ""
    assert Place("www.example.com", 443).server_name == "www.example.com"


def test_what_is_served_is_renewed_stale_or_nobodys() -> None:
    held = [
        ("www", ("www.example.com", "example.com"), facts("www.example.com", fingerprint="1" * 64)),
        ("api", ("api.example.com",), None),
    ]
    assert judge(facts("x", fingerprint="1" * 64), held) == Finding(Renewed.YES, "www")
    assert judge(facts("Example.com"), held) == Finding(Renewed.STALE, "www")
    assert judge(facts("api.example.com"), held) == Finding(Renewed.STALE, "api")
    assert judge(facts("www.example.com", "other.example.com"), held) == Finding(Renewed.NOBODY)
    assert judge(facts(), held) == Finding(Renewed.NOBODY)


@given(
    st.lists(st.text(max_size=30) | st.just("*.Example.com"), max_size=5),
    st.sampled_from(["web", "::1", "a.b"]),
)
def test_what_is_to_be_added_can_be_read_as_settings(names: list[str], host: str) -> None:
    added = to_add(Place(host, 443), facts(*names), ["acme"])
    for entry in added.values():
        assert CertificateSettings.model_validate(entry).names
    assert bool(added) or "*.Example.com" not in names
    assert to_add(Place(host, 443), facts("www.example.com"), [])["www-example-com"]["issuers"] == ["ISSUER"]
