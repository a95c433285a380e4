"""What a solver promises: what the CA will look at is there, whole, and then gone, and nothing else is touched."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clients.challenges import Proof
from clients.challenges.http01 import WebrootSolver
from schemas.errors import CaRefused, DependencyUnavailable

TOKEN = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
WELL_KNOWN = Path(".well-known/acme-challenge")


@pytest.fixture
def solver(tmp_path: Path) -> WebrootSolver:
    return WebrootSolver(tmp_path)


def shown(webroot: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (webroot / WELL_KNOWN).iterdir()}


def test_it_is_shown_where_the_ca_looks_and_taken_away(solver: WebrootSolver, tmp_path: Path) -> None:
    assert solver.kind == "http-01"
    solver.publish(Proof("www.example.com", TOKEN, f"{TOKEN}.thumbprint"))
    assert shown(tmp_path) == {TOKEN: f"{TOKEN}.thumbprint"}
    solver.withdraw(Proof("www.example.com", TOKEN))
    assert shown(tmp_path) == {}


def test_again_is_no_error(solver: WebrootSolver, tmp_path: Path) -> None:
    solver.withdraw(Proof("www.example.com", TOKEN))
    for _ in range(2):
        solver.publish(Proof("www.example.com", TOKEN, "one"))
    assert shown(tmp_path) == {TOKEN: "one"}
    for _ in range(2):
        solver.withdraw(Proof("www.example.com", TOKEN))
    assert shown(tmp_path) == {}


def test_the_web_server_may_read_it_whatever_our_umask(solver: WebrootSolver, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        solver.publish(Proof("www.example.com", TOKEN, "one"))
    finally:
        os.umask(before)
    assert (tmp_path / WELL_KNOWN / TOKEN).stat().st_mode & 0o777 == 0o644
    for folder in (tmp_path / ".well-known", tmp_path / WELL_KNOWN):
        assert folder.stat().st_mode & 0o777 == 0o755


def test_many_at_once_do_not_meet(solver: WebrootSolver, tmp_path: Path) -> None:
    def publish(number: int) -> None:
        solver.publish(Proof("www.example.com", f"token-{number % 5}", f"value-{number % 5}"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(publish, range(100)))
    assert shown(tmp_path) == {f"token-{number}": f"value-{number}" for number in range(5)}


@pytest.mark.parametrize(
    "token",
    ["../../index.html", "..", ".", "", "a/b", "a\\b", "a\x00b", "a b", "a\n", "%2e%2e", "ä", "a" * 257],
)
def test_a_token_that_is_no_base64url_leads_nowhere(
    solver: WebrootSolver, tmp_path: Path, token: str
) -> None:
    with pytest.raises(CaRefused, match="base64url"):
        solver.publish(Proof("n", token, "value"))
    with pytest.raises(CaRefused, match="base64url"):
        solver.withdraw(Proof("n", token))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_link_in_the_way_is_replaced_and_not_followed(solver: WebrootSolver, tmp_path: Path) -> None:
    (tmp_path / WELL_KNOWN).mkdir(parents=True)
    (tmp_path / WELL_KNOWN / TOKEN).symlink_to(tmp_path / "elsewhere")
    solver.publish(Proof("www.example.com", TOKEN, "one"))
    assert shown(tmp_path) == {TOKEN: "one"}
    assert not (tmp_path / "elsewhere").exists()


def test_a_web_root_that_can_not_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DependencyUnavailable, match=r"www\.example\.com"):
        WebrootSolver(tmp_path / "file").publish(Proof("www.example.com", TOKEN, "one"))
