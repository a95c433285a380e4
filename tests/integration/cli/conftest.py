"""An installation as `redoubt init` makes it, on a real server, in a namespace of its own."""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.duration_pb2 import Duration
from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.steering import SteeringActivities
from cli import failures
from cli.main import run
from clients.settings import load
from schemas.certificates import CertificateSweepInput, SweepFindings
from schemas.errors import DependencyOpen
from schemas.runs import SEARCH_ATTRIBUTES
from tests.conftest import DevServer
from tests.integration.cli.open_run import OpenRun
from workers.wiring import Wiring
from workflows.certificates.sweep import CertificateSweep

DEADLINE_S = 90.0


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class House:
    folder: Path
    namespace: str
    redoubt: Callable[..., Said]

    @property
    def settings(self) -> Path:
        return self.folder / "redoubt.yaml"

    def change(self, **sections: Any) -> None:
        """Write sections of the settings anew, as a person would edit them."""
        given = yaml.safe_load(self.settings.read_text())
        self.settings.write_text(json.dumps({**given, **sections}, indent=1))

    async def client(self) -> Client:
        return await Wiring(load(self.settings)).client("certificates")

    def ask(self, do: Callable[[Client], Any]) -> Any:
        async def talk() -> Any:
            return await do(await self.client())

        return asyncio.run(talk())


def until(holds: Callable[[], Any], what: str) -> Any:
    """What becomes true, within the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not (found := holds()):
        if time.monotonic() > end:
            raise AssertionError(f"not in {DEADLINE_S} s: {what}")
        threading.Event().wait(0.05)
    return found


@pytest.fixture(scope="session")
def namespace(temporal_server: DevServer) -> str:
    """Other tests' workers never take these runs."""
    name = f"cli-{secrets.token_hex(4)}"
    asyncio.run(_register(temporal_server.address, name))
    return name


async def _register(address: str, name: str) -> None:
    client = await Client.connect(address, namespace=name)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name,
            workflow_execution_retention_period=Duration(seconds=int(timedelta(days=1).total_seconds())),
        )
    )
    end = time.monotonic() + DEADLINE_S
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    wanted = dict.fromkeys(SEARCH_ATTRIBUTES, keyword)
    while True:
        try:
            there = await client.operator_service.list_search_attributes(
                ListSearchAttributesRequest(namespace=name)
            )
            missing = {key: wanted[key] for key in wanted if key not in there.custom_attributes}
            if not missing:
                return
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=name, search_attributes=missing)
            )
        except RPCError:  # a new namespace is not known to every part of the server at once
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)


@pytest.fixture
def house(
    temporal_server: DevServer,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> House:
    folder = tmp_path / "installation"
    monkeypatch.setenv("REDOUBT_CONFIG", str(folder / "redoubt.yaml"))
    monkeypatch.setenv("REDOUBT_DEBUG", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(
        failures, "correlation_id", failures.correlation_id
    )  # a command may take its caller's

    def redoubt(*arguments: str) -> Said:
        capsys.readouterr()
        code = run(arguments)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    made = House(folder, namespace, redoubt)
    assert redoubt("init", "--dir", str(folder)).code == 0
    made.change(
        installation=f"i{secrets.token_hex(4)}",
        temporal={"address": temporal_server.address, "namespace": namespace, "web_ui": temporal_server.ui},
    )
    assert redoubt("store", "migrate").code == 0
    return made


class NothingDue:
    @activity.defn
    def find_due(self, _given: CertificateSweepInput) -> SweepFindings:
        return SweepFindings(looked_at=0, due=())


class LeftAlone:
    @activity.defn
    def ask_for_ever(self, _given: str) -> None:
        raise DependencyOpen("issuer/acme-1 is left alone.", retry_after_s=3600)


@contextmanager
def _working(house: House) -> Iterator[None]:
    """A worker in a thread, with our plugin, until the test ends."""
    loop, started, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    heard = SteeringActivities(Wiring(load(house.settings)).authority().steering()).hear

    async def work() -> None:
        with ThreadPoolExecutor(4) as threads:
            async with Worker(
                await house.client(),
                task_queue="certificates",
                workflows=[OpenRun, CertificateSweep],
                activities=[NothingDue().find_due, LeftAlone().ask_for_ever, heard],
                activity_executor=threads,
            ):
                started.set()
                await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(work(),))
    thread.start()
    try:
        assert started.wait(DEADLINE_S)
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(DEADLINE_S)
        loop.close()


@pytest.fixture
def working(house: House) -> Iterator[None]:
    with _working(house):
        yield
