"""`good` is said only of what a current list of the issuer covers; everything else is `unknown`."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from clients.revocation.crl import RevocationLists
from clients.revocation.lists import LARGEST_LIST
from rules.revocation import CLOCK_SKEW, kept_until, why_not_current
from schemas.errors import DependencyUnavailable
from tests.unit.revocation.authority import DELTA, HOUR, NOW, URL, Authority

CA = Authority()
OTHER = Authority()
NO_SIGNER = Authority(crl_sign=False)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"")


class Web:
    """What lies at which address, and how often it was asked for."""

    def __init__(self, **lists: bytes) -> None:
        self.at = {URL: lists.get("base"), DELTA: lists.get("delta")}
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        content = self.at.get(url)
        if content is None:
            raise DependencyUnavailable("nobody answers")
        return content


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


def reader(
    web: Web, clock: Callable[[], datetime] | None = None, longest: timedelta = HOUR
) -> RevocationLists:
    return RevocationLists(web, longest, clock or (lambda: NOW))


def scope(**said: object) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    given = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
        **said,
    }
    return ((x509.IssuingDistributionPoint(**given), True),)  # type: ignore[arg-type]  # by name


def at(url: str) -> list[x509.UniformResourceIdentifier]:
    return [x509.UniformResourceIdentifier(url)]


def test_what_is_in_no_list_is_good_and_what_is_in_one_is_revoked() -> None:
    lists = reader(Web(base=CA.crl(8, reason=x509.ReasonFlags.key_compromise)))
    assert lists.status(CA.leaf(7)).state == "good"
    revoked = lists.status(CA.leaf(8))
    assert (revoked.state, revoked.reason, revoked.at) == ("revoked", "keyCompromise", NOW - HOUR)


def test_a_list_without_a_reason_revokes_for_an_unspecified_one() -> None:
    assert reader(Web(base=CA.crl(7))).status(CA.leaf(7)).reason == "unspecified"


def test_the_issuer_may_stand_among_the_anchors() -> None:
    leaf = CA.leaf().split(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----\n"
    lists = reader(Web(base=CA.crl()))
    assert lists.status(leaf).why == "the certificate of its issuer is not in the chain"
    assert lists.status(leaf, OTHER.pem + CA.pem).state == "good"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (CA.crl(ends=NOW), "ended"),
        (CA.crl(ends=NOW - timedelta(minutes=1)), "ended"),
        (CA.crl(begins=NOW + timedelta(minutes=10)), "begins only"),
        (OTHER.crl(), "not signed by its issuer"),
        (Authority("Another").crl(), "another issuer's"),
        (CA.crl()[:-1] + b"\x00", "its revocation list"),
        (b"no list", "can't be read"),
        (b"", "can't be read"),
        (b"\x00" * (LARGEST_LIST + 1), "more than"),
        (CA.crl(extensions=scope(only_contains_ca_certs=True)), "other certificates"),
        (CA.crl(extensions=scope(only_contains_attribute_certs=True)), "other certificates"),
        (CA.crl(extensions=scope(indirect_crl=True)), "other certificates"),
        (CA.crl(extensions=scope(only_some_reasons=frozenset({x509.ReasonFlags.superseded}))), "other"),
        (CA.crl(extensions=scope(full_name=at("http://ca.example/2.crl"))), "another address"),
        (CA.crl(extensions=((UNKNOWN, True),)), "not understood"),
        (CA.crl(extensions=((x509.DeltaCRLIndicator(1), True),)), "only a delta"),
        (CA.crl(7, entry_extension=(x509.CertificateIssuer([x509.DNSName("a.example")]), True)), "not understood"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_unknown_and_says_why(content: bytes, why: str) -> None:
    status = reader(Web(base=content)).status(CA.leaf(7))
    assert status.state == "unknown"
    assert why in status.why


def test_a_list_for_servers_at_its_own_address_counts() -> None:
    content = CA.crl(7, extensions=scope(full_name=at(URL), only_contains_user_certs=True))
    assert reader(Web(base=content)).status(CA.leaf(7)).state == "revoked"


def test_an_issuer_that_may_sign_no_lists_gives_no_answer() -> None:
    assert "may not sign" in reader(Web(base=NO_SIGNER.crl())).status(NO_SIGNER.leaf()).why


@pytest.mark.parametrize("urls", [(), ("ldap://ca.example/crl",)])
def test_a_certificate_that_names_no_list_is_unknown(urls: tuple[str, ...]) -> None:
    web = Web(base=CA.crl())
    assert reader(web).status(CA.leaf(urls=urls)).why == "it names no revocation list"
    assert web.asked == []


def test_the_next_address_is_tried_where_the_first_gives_no_answer() -> None:
    lists = reader(Web(base=CA.crl(7)))
    assert lists.status(CA.leaf(7, ("http://away.example/crl", URL))).state == "revoked"
    away = reader(Web()).status(CA.leaf())
    assert (away.state, away.why) == ("unknown", "its revocation list can't be had: nobody answers")


@pytest.mark.parametrize("chain", [b"", b"junk", CA.leaf()[:100]], ids=["empty", "junk", "cut"])
def test_a_chain_that_can_not_be_read_is_unknown(chain: bytes) -> None:
    assert reader(Web(base=CA.crl())).status(chain).why == "its chain can't be read"


def delta(*revoked: int, base: int = 5, number: int = 6, reason: x509.ReasonFlags | None = None) -> bytes:
    return CA.crl(*revoked, number=number, reason=reason, extensions=((x509.DeltaCRLIndicator(base), True),))


def test_a_delta_adds_and_takes_away() -> None:
    added = Web(base=CA.crl(), delta=delta(7))
    assert reader(added).status(CA.leaf(7, deltas=(DELTA,))).state == "revoked"
    taken = Web(base=CA.crl(7), delta=delta(7, reason=x509.ReasonFlags.remove_from_crl))
    assert reader(taken).status(CA.leaf(7, deltas=(DELTA,))).state == "good"
    silent = Web(base=CA.crl(7), delta=delta())
    assert reader(silent).status(CA.leaf(7, deltas=(DELTA,))).state == "revoked"


@pytest.mark.parametrize("content", [None, delta(base=6), delta(number=4), CA.crl(number=6)])
def test_a_delta_that_does_not_fit_leaves_it_unknown(content: bytes | None) -> None:
    web = Web(base=CA.crl())
    web.at[DELTA] = content
    assert reader(web).status(CA.leaf(7, deltas=(DELTA,))).state == "unknown"


def test_a_list_is_kept_while_it_counts_and_no_longer_than_we_keep_lists() -> None:
    clock, web = Clock(), Web(base=CA.crl(ends=NOW + HOUR))
    lists = reader(web, clock, timedelta(minutes=10))
    lists.status(CA.leaf(7))
    clock.time = NOW + timedelta(minutes=9)
    assert lists.status(CA.leaf(8)).state == "good"
    assert len(web.asked) == 1
    web.at[URL] = CA.crl(7, ends=NOW + HOUR)
    clock.time = NOW + timedelta(minutes=10)
    assert lists.status(CA.leaf(7)).state == "revoked"
    clock.time = NOW + HOUR
    assert lists.status(CA.leaf(7)).state == "unknown"


def test_one_issuers_list_is_not_taken_for_anothers() -> None:
    lists = reader(Web(base=CA.crl()))
    assert lists.status(CA.leaf(7)).state == "good"
    assert lists.status(OTHER.leaf(7)).state == "unknown"


moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(  # noqa: DTZ001 - given their zone next
    lambda one: one.replace(tzinfo=NOW.tzinfo)
)


@given(moments, moments, moments, st.timedeltas(timedelta(0), timedelta(days=30)))
def test_what_counts_is_current_and_is_kept_within_its_life(
    begins: datetime, ends: datetime, now: datetime, longest: timedelta
) -> None:
    counts = why_not_current(begins, ends, now) is None
    assert counts == (begins <= now + CLOCK_SKEW and now < ends)
    assert why_not_current(begins, None, now) is not None
    assert kept_until(ends, now, longest) == min(ends, now + longest)
