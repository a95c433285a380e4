"""`python -m tests.replay.record`: record the corpus anew, against a dev server of its own.

Do so when the corpus no longer replays because a workflow was changed on purpose and no run of the old code is left
anywhere; otherwise `workflow.patched` the change, and leave the recorded histories as they are. With names as
arguments only these scenarios are recorded, and the others stay.
"""

import asyncio
import sys
import tempfile
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import temporalio.service
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Worker

from clients.temporal.codec import RedoubtCodec
from clients.temporal.correlation import correlated
from clients.temporal.plugin import RedoubtPlugin
from tests.replay.corpus import Recorded, history, recorded, write
from tests.replay.ring import TestOnlyRing
from tests.replay.scenarios import SCENARIOS, Scenario
from tests.servers.starters import start_dev_server
from workflows.unknown import UnknownWorkflow

Entry = tuple[Recorded, WorkflowHistory]


def main(names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        about, stop = start_dev_server(Path(folder))
        try:
            fresh = asyncio.run(_record(about["address"], about["namespace"], names))
        finally:
            stop()
    kept = {one.name: (one, history(one)) for one in recorded()} if names else {}
    entries = {**kept, **{entry[0].name: entry for entry in fresh}}
    write(tuple(entries[scenario.name] for scenario in SCENARIOS if scenario.name in entries))
    print(f"{len(fresh)} histories recorded, {len(entries)} in the corpus")  # noqa: T201 - a command's answer


async def _record(address: str, namespace: str, names: Sequence[str]) -> list[Entry]:
    plugin = RedoubtPlugin(RedoubtCodec(TestOnlyRing()))
    # The default identity names the machine, which does not belong into a repository.
    client = await Client.connect(address, namespace=namespace, plugins=[plugin], identity="recorder")
    return [await _play(client, one) for one in SCENARIOS if not names or one.name in names]


async def _play(client: Client, scenario: Scenario) -> Entry:
    queue = str(uuid.uuid4())
    with ThreadPoolExecutor(4) as threads:
        worker = Worker(
            client,
            task_queue=queue,
            workflows=[*scenario.workflows, UnknownWorkflow],
            activities=scenario.activities(),
            activity_executor=threads,
        )
        async with worker:
            with correlated(f"corpus-{scenario.name}"):
                handle = await scenario.play(client, queue)
    events = await handle.fetch_history()
    started = events.events[0].workflow_execution_started_event_attributes
    one = Recorded(
        name=scenario.name,
        workflow_type=started.workflow_type.name,
        workflow_id=handle.id,
        sdk=temporalio.service.__version__,
        why=scenario.why,
    )
    return one, events


if __name__ == "__main__":
    main(sys.argv[1:])
