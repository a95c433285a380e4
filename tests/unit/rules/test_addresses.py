"""No address that is not public is reached unless it is listed, and no URL leads elsewhere than it says."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.addresses import Place, may_reach, place_of, redirected

INSIDE = [
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not may_reach(address, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_reached(address: str) -> None:
    assert may_reach(address, ())


@given(st.ip_addresses(v=4))
def test_no_ipv6_form_makes_an_ipv4_address_public(address: ipaddress.IPv4Address) -> None:
    for prefix in ("::ffff:", "::", "64:ff9b::", "64:ff9b:1::", "::ffff:0:"):
        assert not may_reach(f"{prefix}{address}", ())
        assert not may_reach(f"{prefix}{address}", [f"{address}/32"])


@given(st.ip_addresses())
def test_a_listed_network_is_reached_and_nothing_beside_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert may_reach(str(address), [f"{address}/{address.max_prefixlen}"])
    beside = type(address)(int(address) ^ 1)
    assert may_reach(str(beside), [f"{address}/{address.max_prefixlen}"]) == may_reach(str(beside), ())


@given(st.text(max_size=30))
def test_what_is_no_address_is_refused(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert not may_reach(text, ["0.0.0.0/0", "::/0"])


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://ca.example.com/dir", Place("https", "ca.example.com", 443)),
        ("https://CA.example.com:14000/a?b=c", Place("https", "ca.example.com", 14000)),
        ("https://[2606:4700::1111]/", Place("https", "2606:4700::1111", 443)),
        ("https://ca.example.com./", Place("https", "ca.example.com", 443)),
    ],
)
def test_where_a_url_leads(url: str, place: Place) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://ca.example.com/",
        "ftp://ca.example.com/",
        "file:///etc/passwd",
        "//ca.example.com/",
        "https:///path",
        "https://",
        "https://user@ca.example.com/",
        "https://user:word@ca.example.com/",  # pragma: allowlist secret
        "https://ca.example.com\\@127.0.0.1/",
        "https://ca.example.com\t/",
        "https://ca.example.com/\r\nHost: x",
        "https://ca.exämple.com/",
        "https://-/",
        "https://[fe80::1%25eth0]/",
        "https://ca.example.com:99999/",
        "https://ca.example.com:x/",
        "https://ca.example.com/" + "a" * 5000,
    ],
)
def test_what_no_url_of_a_ca_looks_like_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as refused:
        place_of(url)
    assert "example" not in str(refused.value)


def test_http_only_where_it_is_asked_for() -> None:
    assert place_of("http://crl.example.com/x.crl", plain=True).port == 80
    with pytest.raises(ValueError, match="https"):
        place_of("ftp://crl.example.com/x.crl", plain=True)


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("https://a.example/x", "/y", "https://a.example/y"),
        ("https://a.example/x/", "y", "https://a.example/x/y"),
        ("https://a.example/x", "https://a.example:443/y", "https://a.example:443/y"),
        ("http://a.example/x", "https://a.example/y", "https://a.example/y"),
    ],
)
def test_a_redirect_stays_at_its_host(url: str, location: str, target: str) -> None:
    assert redirected(url, location, plain=True) == target


@pytest.mark.parametrize(
    "location",
    [
        "https://b.example/",
        "//b.example/",
        "https://a.example:8443/",
        "http://a.example/",
        "https://a.example@b.example/",
        "file:///etc/passwd",
        "https://a.example\\.b.example/",
    ],
)
def test_a_redirect_elsewhere_is_refused(location: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        redirected("https://a.example/x", location, plain=True)
