"""A web root that can't be written to: an error of ours, or nothing at all where nothing is shown."""

from pathlib import Path

import pytest

from clients.challenges import Proof
from clients.challenges.http01 import WebrootSolver
from schemas.errors import DependencyUnavailable

PROOF = Proof("www.example.com", "token-1", "token-1.thumbprint")


def test_a_web_root_that_is_a_file_shows_nothing_and_needs_no_taking_out(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    solver = WebrootSolver(file)
    with pytest.raises(DependencyUnavailable, match="can't be written below its `webroot`") as refused:
        solver.publish(PROOF)
    assert str(tmp_path) not in f"{refused.value} {refused.value.in_full}"
    solver.withdraw(PROOF)


def test_what_can_not_be_taken_out_is_told(tmp_path: Path) -> None:
    solver = WebrootSolver(tmp_path)
    (tmp_path / ".well-known/acme-challenge/token-1").mkdir(parents=True)
    with pytest.raises(DependencyUnavailable, match="can't be taken out of its `webroot`"):
        solver.withdraw(PROOF)
