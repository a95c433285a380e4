"""Runs on a real server, as people start, look at, follow and steer them from the command line."""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from cli.output import ExitCode
from schemas.runs import Steer, Steered
from tests.integration.cli.conftest import DEADLINE_S, House, until


def _input(house: House, **given: object) -> tuple[str, Path]:
    """A renewal's input of a name that no other test uses; its workflow ID."""
    name = f"www-{secrets.token_hex(4)}"
    file = house.folder / f"{name}.json"
    file.write_text(json.dumps({"certificate": name, **given}))
    return f"certificate-renewal/{name}", file


def _finish(house: House, workflow_id: str) -> None:
    house.ask(lambda client: client.get_workflow_handle(workflow_id).signal("finish"))


@pytest.mark.usefixtures("working")
def test_a_run_is_started_looked_at_steered_and_followed_to_its_end(house: House) -> None:
    workflow_id, file = _input(house)
    name = workflow_id.partition("/")[2]
    said = house.redoubt(
        "start", "CertificateRenewal", "--input", str(file), "--correlation-id", f"order-{name}", "-o", "json"
    )
    assert said.code == ExitCode.OK, said.err
    started = json.loads(said.out)
    assert started["workflow_id"] == workflow_id
    assert started["link"].endswith(
        f"/namespaces/{house.namespace}/workflows/certificate-renewal%2F{name}/{started['run_id']}/history"
    )

    again = house.redoubt("start", "CertificateRenewal", "--input", str(file))
    assert again.code == ExitCode.FAILED
    assert again.err.startswith("Error: AlreadyRunning: ")
    assert started["link"] in again.err

    def switching() -> dict[str, object] | None:
        said = house.redoubt("status", workflow_id, "-o", "json")
        assert said.out, said.err
        seen = json.loads(said.out)
        return seen if seen["phase"] == "switching" else None

    seen = until(switching, "the run switches")
    assert seen["state"] == "RUNNING"
    assert seen["progress"] == "0 of 2 steps"
    assert (seen["waits_for"], seen["who_can_act"]) == ("the test", "alice")
    assert seen["correlation_id"] == f"order-{name}"
    assert seen["table"] == [{"name": "web-1", "state": "staged"}]
    text = house.redoubt("status", workflow_id).out
    assert "web-1  staged" in text

    assert house.redoubt("pause", workflow_id, "--reason", "look first").code == ExitCode.OK
    refused = house.redoubt("pause", workflow_id, "--reason", "look first")
    assert refused.code == ExitCode.FAILED
    assert refused.err.startswith("Error: NotNow: This run can't pause now: switching, paused.")
    assert (
        json.loads(house.redoubt("resume", workflow_id, "--reason", "seen", "-o", "json").out)["paused"]
        is False
    )

    argv = [sys.executable, "-m", "cli.main", "watch", workflow_id, "-o", "jsonl"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["state"] == "RUNNING"
        _finish(house, workflow_id)
        last = json.loads(watching.stdout.readlines()[-1])
    assert watching.returncode == ExitCode.OK
    assert last["state"] == "COMPLETED"
    assert last["result"]["outcome"] == "renewed"
    after = house.redoubt("status", workflow_id)
    assert after.code == ExitCode.OK
    assert "COMPLETED" in after.out

    late = house.redoubt("abort", workflow_id, "--reason", "too late")
    assert late.code == ExitCode.USAGE
    assert "does not exist" in late.err


@pytest.mark.usefixtures("working")
def test_what_holds_a_run_up_is_said(house: House) -> None:
    workflow_id, file = _input(house, reason="held up")
    assert house.redoubt("start", "CertificateRenewal", "--input", str(file)).code == ExitCode.OK

    def held_up() -> list[str]:
        said = house.redoubt("status", workflow_id, "-o", "json")
        return list(json.loads(said.out)["held_up"]) if said.out else []

    assert until(held_up, "a step was refused") == ["DependencyOpen: issuer/acme-1 is left alone."]
    assert "DependencyOpen: issuer/acme-1" in house.redoubt("status", workflow_id).out
    _finish(house, workflow_id)


@pytest.mark.usefixtures("working")
def test_the_exit_code_of_watch_says_how_it_ended(house: House) -> None:
    workflow_id, file = _input(house, reason="fail")
    assert house.redoubt("start", "CertificateRenewal", "--input", str(file)).code == ExitCode.OK
    _finish(house, workflow_id)
    failed = house.redoubt("watch", workflow_id)
    assert failed.code == ExitCode.VERIFICATION
    assert "VerificationFailed: web-1 does not serve it." in failed.out

    workflow_id, file = _input(house)
    with ThreadPoolExecutor(1) as aside:
        aborting = aside.submit(house.ask, _abort(workflow_id))
        aborted = house.redoubt("start", "CertificateRenewal", "--input", str(file), "--wait")
        aborting.result()
    assert aborted.code == ExitCode.FAILED
    assert "Aborted: " in aborted.out

    workflow_id, file = _input(house)
    assert house.redoubt("start", "CertificateRenewal", "--input", str(file)).code == ExitCode.OK
    house.ask(lambda client: client.get_workflow_handle(workflow_id).terminate("by hand"))
    ended = house.redoubt("status", workflow_id, "-o", "json")
    assert json.loads(ended.out)["state"] == "TERMINATED"


def _abort(workflow_id: str) -> Callable[[Client], Awaitable[Steered]]:
    """As soon as there is such a run."""

    async def tell(client: Client) -> Steered:
        handle, until = client.get_workflow_handle(workflow_id), time.monotonic() + DEADLINE_S
        while True:
            try:
                told: Steered = await handle.execute_update(
                    "abort", Steer(reason="enough"), result_type=Steered
                )
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND or time.monotonic() > until:
                    raise
                await asyncio.sleep(0.05)
            else:
                return told

    return tell


@pytest.mark.usefixtures("working")
def test_runs_are_listed_by_type_phase_and_subject(house: House) -> None:
    workflow_id, file = _input(house)
    name = workflow_id.partition("/")[2]
    assert house.redoubt("start", "CertificateRenewal", "--input", str(file)).code == ExitCode.OK

    def listed(*options: str) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = json.loads(
            house.redoubt("list", "--subject", name, *options, "-o", "json").out
        )
        return rows

    rows = until(lambda: listed("--phase", "switching"), "visibility shows the run")
    assert [(row["workflow_id"], row["type"], row["state"]) for row in rows] == [
        (workflow_id, "CertificateRenewal", "RUNNING")
    ]
    assert listed("--type", "CertificateSweep") == []
    assert len(listed("--running")) == 1
    _finish(house, workflow_id)
    until(lambda: not listed("--running"), "visibility shows that it has ended")
    nothing = house.redoubt("list", "--subject", "x' OR 1=1")
    assert nothing.code == ExitCode.USAGE


def test_without_a_worker_the_server_s_word_stands(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.following.PATIENCE", timedelta(seconds=1))
    monkeypatch.setattr("cli.runs.PATIENCE", timedelta(seconds=1))
    workflow_id, file = _input(house)
    assert house.redoubt("start", "CertificateRenewal", "--input", str(file)).code == ExitCode.OK
    said = house.redoubt("status", workflow_id, "-o", "json")
    assert said.code == ExitCode.SKIPPED
    assert json.loads(said.out)["state"] == "RUNNING"
    assert "No worker answers" in said.err
    steered = house.redoubt("pause", workflow_id, "--reason", "x")
    assert steered.code == ExitCode.UNREACHABLE
    house.ask(lambda client: client.get_workflow_handle(workflow_id).terminate("the test has ended"))


def test_what_is_not_there_is_named(house: House) -> None:
    said = house.redoubt("status", "certificate-renewal/none")
    assert said.code == ExitCode.USAGE
    assert "The run certificate-renewal/none does not exist." in said.err
    house.change(temporal={"address": "127.0.0.1:1", "namespace": house.namespace})
    away = house.redoubt("list")
    assert away.code == ExitCode.UNREACHABLE
    assert "Temporal at 127.0.0.1:1 does not answer." in away.err
