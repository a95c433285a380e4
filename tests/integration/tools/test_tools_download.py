"""The vendor's download against a real HTTPS server, well behaved and not."""

import hashlib
import pathlib
import ssl
from collections.abc import Iterator

import pytest

from clients.tools.download import Download, system
from clients.tools.table import Archive, DownloadWay
from clients.tools.way import Unobtainable
from tests.integration.tools.vendor import Vendor, serving
from tests.unit.tools.made_up import tool

_CONTENT = b"#!/bin/sh\necho made-up 2.0\n" + b"#" * 3_000_000


@pytest.fixture
def vendor(tmp_path: pathlib.Path) -> Iterator[Vendor]:
    with serving(Vendor(_CONTENT), tmp_path) as served:
        yield served


@pytest.fixture
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("REDOUBT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def into(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def _get(vendor: Vendor, into: pathlib.Path, digest: str = "", max_mib: int = 10) -> pathlib.Path:
    archive = Archive(url=vendor.url, sha256=digest or hashlib.sha256(_CONTENT).hexdigest())
    recipe = DownloadWay(way="download", archives={system(): archive}, max_mib=max_mib)
    Download(vendor.trust).get(recipe, tool(), into, lambda _what: None)
    return into / "bin" / "made-up"


def _partial(cache: pathlib.Path) -> list[int]:
    return [path.stat().st_size for path in (cache / "downloads").iterdir()]


def test_what_matches_the_checksum_is_kept(vendor: Vendor, cache: pathlib.Path, into: pathlib.Path) -> None:
    assert _get(vendor, into).read_bytes() == _CONTENT
    assert _partial(cache) == []


def test_what_does_not_match_is_refused_and_nothing_is_kept(
    vendor: Vendor, cache: pathlib.Path, into: pathlib.Path
) -> None:
    with pytest.raises(Unobtainable, match=f"not the pinned {'0' * 64}: refused"):
        _get(vendor, into, digest="0" * 64)
    assert list(into.iterdir()) == []
    assert _partial(cache) == []


def test_a_broken_download_goes_on_where_it_stopped(
    vendor: Vendor, cache: pathlib.Path, into: pathlib.Path
) -> None:
    vendor.break_after = [1_000_000, 500_000]
    assert _get(vendor, into).read_bytes() == _CONTENT
    assert vendor.ranges == ["", "bytes=1000000-", "bytes=1500000-"]
    assert _partial(cache) == []


def test_what_came_before_it_broke_for_good_serves_the_next_try(
    vendor: Vendor, cache: pathlib.Path, into: pathlib.Path
) -> None:
    vendor.break_after = [1_000_000, 0, 0]
    with pytest.raises(Unobtainable, match="broke off 3 times"):
        _get(vendor, into)
    assert _partial(cache) == [1_000_000]
    assert _get(vendor, into).read_bytes() == _CONTENT
    assert vendor.ranges[-1] == "bytes=1000000-"


def test_a_download_that_was_whole_when_we_were_killed(
    vendor: Vendor, cache: pathlib.Path, into: pathlib.Path
) -> None:
    part = cache / "downloads" / f"{hashlib.sha256(_CONTENT).hexdigest()}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(_CONTENT)
    assert _get(vendor, into).read_bytes() == _CONTENT
    assert vendor.ranges == [f"bytes={len(_CONTENT)}-"]


def test_remains_of_another_file_are_refused_once_and_then_gone(
    vendor: Vendor, cache: pathlib.Path, into: pathlib.Path
) -> None:
    part = cache / "downloads" / f"{hashlib.sha256(_CONTENT).hexdigest()}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else")
    with pytest.raises(Unobtainable, match="refused"):
        _get(vendor, into)
    assert _get(vendor, into).read_bytes() == _CONTENT


@pytest.mark.parametrize("stated", [True, False])
def test_more_than_is_allowed(
    vendor: Vendor, cache: pathlib.Path, into: pathlib.Path, *, stated: bool
) -> None:
    vendor.states_length = stated
    with pytest.raises(Unobtainable, match="larger than the 2 MiB allowed"):
        _get(vendor, into, max_mib=2)
    assert _partial(cache) == []


@pytest.mark.usefixtures("cache")
def test_a_redirect_out_of_https_is_refused(vendor: Vendor, into: pathlib.Path) -> None:
    vendor.redirect = "http://127.0.0.1:9/download"
    with pytest.raises(Unobtainable, match="redirected to http, which is refused"):
        _get(vendor, into)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("to", "told"), [("", "TooManyRedirects"), ("https://127.0.0.1:nonsense/", "Invalid")]
)
def test_redirects_that_lead_nowhere_leave_it_to_the_next_way(
    vendor: Vendor, into: pathlib.Path, to: str, told: str
) -> None:
    vendor.redirect = to or vendor.url
    with pytest.raises(Unobtainable, match=told):
        _get(vendor, into)


@pytest.mark.usefixtures("cache")
def test_a_proxy_that_is_none_leaves_it_to_the_next_way(
    vendor: Vendor, into: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:9")
    with pytest.raises(Unobtainable, match="nonsense"):
        _get(vendor, into)


@pytest.mark.usefixtures("cache")
def test_a_server_that_has_it_no_more(vendor: Vendor, into: pathlib.Path) -> None:
    vendor.status = 404
    with pytest.raises(Unobtainable, match="answered 404"):
        _get(vendor, into)


@pytest.mark.usefixtures("cache")
def test_a_server_that_nobody_vouches_for(vendor: Vendor, into: pathlib.Path) -> None:
    vendor.trust = ssl.create_default_context()
    with pytest.raises(Unobtainable, match="can't be reached"):
        _get(vendor, into)
    assert vendor.ranges == []


@pytest.mark.usefixtures("cache")
def test_a_kind_of_machine_that_the_vendor_does_not_serve(into: pathlib.Path) -> None:
    recipe = DownloadWay(way="download", archives={})
    with pytest.raises(Unobtainable, match="is not in the table"):
        Download().get(recipe, tool(), into, lambda _what: None)
