"""What someone else has changed on a target is due for the sweep, and for the renewal that it starts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from activities.certificates.planning import PlanningActivities
from activities.certificates.sweeping import SweepingActivities
from schemas.certificates import CertificateRenewalInput, CertificateSweepInput
from tests.integration.workflows.conftest import House, run


def edit_lines(folder: Path) -> None:
    file = folder / "current" / "nginx.conf"
    file.write_text(file.read_text() + "ssl_verify_client off;\n")


def take_the_link_away(folder: Path) -> None:
    (folder / "current").unlink()


@pytest.mark.parametrize("change", [edit_lines, take_the_link_away])
def test_the_sweep_finds_what_was_changed_on_a_target(house: House, change: Callable[[Path], None]) -> None:
    sweeping, nothing = SweepingActivities(house.around()), CertificateSweepInput()
    assert run(sweeping.find_due, nothing).due == ()
    change(house.folders["web-2"])
    (found,) = run(sweeping.find_due, nothing).due
    assert (found.certificate, found.held_off) == ("www", False)
    assert found.why.startswith("web-2 was changed by someone else: ")
    plan = run(PlanningActivities(house.around()).plan_renewal, CertificateRenewalInput(certificate="www"))
    assert (plan.due, plan.why) == (True, found.why)
