"""What each step does once the settings have its certificate, or its target, no more: folders, records and CA are real.

With a run, a worker that is killed and a sweep it is shown by tests/acceptance/test_taken_out.py.
"""

import pytest

from activities.certificates.planning import PlanningActivities
from activities.certificates.sweeping import SweepingActivities
from activities.certificates.switching import SwitchingActivities
from schemas.certificates import CertificateSweepInput
from schemas.errors import UnknownSubject
from tests.integration.workflows.conftest import FORCED, House, run


def test_a_certificate_that_was_taken_out_is_put_back_by_who_takes_its_operation_up(house: House) -> None:
    before = house.shown()
    house.half_switched()
    assert house.shown()["web-1"] != before["web-1"]
    del house.certificates["www"]
    found = run(SweepingActivities(house.around()).find_due, CertificateSweepInput())
    assert [(one.certificate, "the settings have it no more" in one.why) for one in found.due] == [
        ("www", True)
    ]
    plan = run(PlanningActivities(house.around()).plan_renewal, FORCED)
    assert plan.undoing
    house.put_back(plan)
    assert house.shown() == before
    assert run(SweepingActivities(house.around()).find_due, CertificateSweepInput()).due == ()
    with pytest.raises(UnknownSubject, match="in the inventory"):
        run(PlanningActivities(house.around()).plan_renewal, FORCED)


def test_a_run_goes_no_further_on_what_was_taken_out_and_can_go_back(house: House) -> None:
    before = house.shown()
    plan = house.half_switched()
    run(SwitchingActivities(house.around()).verify, house.step(plan, "web-1"))
    del house.certificates["www"]
    switching = SwitchingActivities(house.around())
    run(switching.switch, house.step(plan, "web-1"))  # its outcome is recorded: nothing is done anew
    with pytest.raises(UnknownSubject, match="no target 'web-2' any more"):
        run(switching.switch, house.step(plan, "web-2"))
    house.put_back(plan)
    assert house.shown() == before


def test_a_target_that_was_taken_out_is_put_back_with_the_others(house: House) -> None:
    before = house.shown()
    plan = house.half_switched()
    del house.certificates["www"]["targets"][0]
    house.put_back(plan)
    assert house.shown() == before


def test_a_target_that_has_moved_is_put_back_where_the_settings_say_that_it_is(house: House) -> None:
    before = house.shown()
    plan = house.half_switched()
    house.folders["web-1"] = house.folders["web-1"].rename(house.installation.folder / "moved")
    house.certificates["www"]["targets"][0]["directory"] = str(house.folders["web-1"])
    house.put_back(plan)
    assert house.shown() == before
