"""The cluster's schedules are made to match the settings, and nobody else's are touched."""

import json
from typing import Any

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleOverlapPolicy,
    ScheduleSpec,
    ScheduleState,
)

from cli.output import ExitCode
from schemas.catalogue import WORKFLOW_TYPES
from tests.integration.cli.conftest import House, until

SWEEP: dict[str, Any] = {"workflow": "CertificateSweep", "input": {"max_concurrent": 3}}


def _apply(house: House, *options: str) -> dict[str, str]:
    said = house.redoubt("schedules", "apply", *options, "-o", "json")
    assert said.code == ExitCode.OK, said.err
    return {row["schedule"].rpartition(".")[2]: row["change"] for row in json.loads(said.out)}


def _listed(house: House) -> dict[str, dict[str, Any]]:
    rows = json.loads(house.redoubt("schedules", "list", "-o", "json").out)
    return {row["schedule"].rpartition(".")[2]: row for row in rows}


def test_applying_creates_updates_deletes_and_then_has_nothing_to_do(house: House) -> None:
    house.change(
        schedules={
            "hourly": {**SWEEP, "every_s": 3600, "jitter_s": 30, "pause_on_failure": True},
            "nightly": {**SWEEP, "cron": "0 3 * * 1-5", "time_zone": "Europe/Zurich", "paused": True},
        }
    )
    assert _apply(house, "--dry-run") == {"hourly": "created", "nightly": "created"}
    assert _listed(house) == {}
    assert _apply(house) == {"hourly": "created", "nightly": "created"}
    until(lambda: len(_listed(house)) == 2, "the schedules are listed")
    assert _apply(house) == {"hourly": "unchanged", "nightly": "unchanged"}
    listed = _listed(house)
    assert listed["hourly"]["next_runs"]
    assert (listed["hourly"]["missed"], listed["hourly"]["skipped"]) == (0, 0)
    assert listed["nightly"]["paused"] is True

    house.change(schedules={"nightly": {**SWEEP, "cron": "30 4 * * 1-5", "time_zone": "Europe/Zurich"}})
    said = house.redoubt("schedules", "apply")
    assert "cron=0 3 * * 1-5" in said.out
    assert "cron=30 4 * * 1-5" in said.out
    until(lambda: set(_listed(house)) == {"nightly"}, "only the other one is left")
    assert _apply(house) == {"nightly": "unchanged"}

    house.change(
        schedules={
            "nightly": {
                **SWEEP,
                "input": {"max_concurrent": 4},
                "cron": "30 4 * * 1-5",
                "time_zone": "Europe/Zurich",
            }
        }
    )
    assert _apply(house) == {"nightly": "updated"}
    house.change(schedules={})
    assert _apply(house) == {"nightly": "deleted"}
    until(lambda: not _listed(house), "none is left")


def test_what_people_changed_on_the_cluster_is_put_back_and_theirs_is_left(house: House) -> None:
    house.change(schedules={"hourly": {**SWEEP, "every_s": 3600}})
    assert _apply(house) == {"hourly": "created"}
    name = until(lambda: _listed(house), "the schedule is listed")["hourly"]["schedule"]

    async def meddle(client: Client) -> None:
        await client.get_schedule_handle(name).pause(note="not today")
        action = ScheduleActionStartWorkflow("Theirs", id="theirs", task_queue="theirs")
        await client.create_schedule(
            f"theirs-{name}", Schedule(action=action, spec=ScheduleSpec(), state=ScheduleState(paused=True))
        )

    house.ask(meddle)
    assert _apply(house) == {"hourly": "updated"}
    assert _apply(house) == {"hourly": "unchanged"}
    house.change(schedules={})
    assert _apply(house) == {"hourly": "deleted"}

    async def theirs(client: Client) -> Any:
        described = await client.get_schedule_handle(f"theirs-{name}").describe()
        await client.get_schedule_handle(f"theirs-{name}").delete()
        return described

    assert house.ask(theirs).schedule.policy.overlap is ScheduleOverlapPolicy.SKIP


@pytest.mark.parametrize(
    ("schedule", "fault"),
    [
        ({"workflow": "CertificateSweeep", "every_s": 60}, "Did you mean 'CertificateSweep'"),
        (
            {"workflow": "CertificateSweep", "every_s": 60, "input": {"max": 1}},
            "does not take schedules.wrong.input",
        ),
    ],
)
def test_a_wrong_schedule_changes_nothing(schedule: dict[str, Any], fault: str, house: House) -> None:
    house.change(schedules={"right": {**SWEEP, "every_s": 3600}, "wrong": schedule})
    said = house.redoubt("schedules", "apply")
    assert said.code == ExitCode.USAGE
    assert fault in said.err
    assert _listed(house) == {}


@pytest.mark.usefixtures("working")
def test_a_schedule_starts_a_run_that_the_commands_find(house: House) -> None:
    house.change(schedules={"often": {**SWEEP, "every_s": 1}})
    assert _apply(house) == {"often": "created"}
    until(lambda: _listed(house).get("often", {}).get("runs"), "the schedule has started a run")
    rows = until(
        lambda: json.loads(house.redoubt("list", "--type", "CertificateSweep", "-o", "json").out),
        "it is listed",
    )
    assert rows[0]["workflow_id"].startswith("certificate-sweep/all-")
    house.change(schedules={})
    assert _apply(house) == {"often": "deleted"}

    async def told(client: Client) -> tuple[str | None, str | None]:
        described = await client.get_workflow_handle(rows[0]["workflow_id"]).describe()
        return await described.static_summary(), await described.static_details()

    summary, details = house.ask(told)
    assert summary.startswith("CertificateSweep: ")
    assert "(schedule redoubt." in summary
    assert details == WORKFLOW_TYPES["CertificateSweep"].summary
