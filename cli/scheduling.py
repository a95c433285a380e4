"""The cluster's schedules, made to match the settings.

- Ours are told by their ID, `redoubt.INSTALLATION.NAME`: names hold no dots, so nobody else's is ever touched.
- A cron expression carries itself as its comment, because the server keeps only the calendar that it means.
- Applying is repeatable: what is there is compared field by field, and only what differs is written.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from cli.cluster import PATIENCE, Cluster, speaking
from rules.inputs import named, validated
from schemas.catalogue import WorkflowType
from schemas.contract import WorkflowInput
from schemas.settings.processes import ScheduleSettings

NOTE: Final = (
    "Applied from the settings file by `redoubt schedules apply`; changes made here are undone by it."
)


@dataclass(frozen=True)
class Wanted:
    id: str
    kind: WorkflowType
    input: WorkflowInput
    given: ScheduleSettings

    def fields(self) -> dict[str, Any]:
        """What is compared, in words that people read in the diff."""
        return {
            "workflow": self.kind.name,
            "workflow_id": self.kind.workflow_id(self.input),
            "task_queue": self.kind.capability,
            "input": self.input.model_dump(mode="json"),
            "every_s": self.given.every_s,
            "cron": self.given.cron,
            "time_zone": self.given.time_zone,
            "jitter_s": self.given.jitter_s,
            "catchup_window_s": self.given.catchup_window_s,
            "overlap": "SKIP",
            "pause_on_failure": self.given.pause_on_failure,
            "paused": self.given.paused,
        }

    def schedule(self) -> Schedule:
        every, cron = self.given.every_s, self.given.cron
        return Schedule(
            action=ScheduleActionStartWorkflow(
                self.kind.name,
                self.input,
                id=self.kind.workflow_id(self.input),
                task_queue=self.kind.capability,
                static_summary=f"{self.kind.name}: {self.input.subject} (schedule {self.id})",
                static_details=self.kind.summary,
            ),
            spec=ScheduleSpec(
                intervals=[ScheduleIntervalSpec(timedelta(seconds=every))] if every else [],
                cron_expressions=[f"{cron} #{cron}"] if cron else [],
                jitter=timedelta(seconds=self.given.jitter_s),
                time_zone_name=self.given.time_zone,
            ),
            policy=SchedulePolicy(
                overlap=ScheduleOverlapPolicy.SKIP,
                catchup_window=timedelta(seconds=self.given.catchup_window_s),
                pause_on_failure=self.given.pause_on_failure,
            ),
            state=ScheduleState(note=NOTE, paused=self.given.paused),
        )


@dataclass(frozen=True)
class Change:
    id: str
    change: Literal["created", "updated", "deleted", "unchanged"]
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """What differs: on the cluster, and in the settings."""


def prefix(cluster: Cluster) -> str:
    return f"redoubt.{cluster.settings.installation}."


def wanted(cluster: Cluster) -> list[tuple[str, Wanted]]:
    """Each with its capability; raises before anything is changed if one can't be."""
    found = []
    for name, given in cluster.settings.schedules.items():
        kind = named(given.workflow)
        value = validated(kind, given.input, f"schedules.{name}.input")
        found.append((kind.capability, Wanted(prefix(cluster) + name, kind, value, given)))
    return found


async def apply(cluster: Cluster, *, dry: bool) -> list[Change]:
    made: dict[str, set[str]] = {}
    changes = []
    for capability, one in wanted(cluster):
        client = await cluster.client(capability)
        made.setdefault(client.namespace, set()).add(one.id)
        with speaking(f"The namespace {client.namespace}"):
            changes.append(await _match(client, one, dry=dry))
    for client in await cluster.clients():
        with speaking(f"The namespace {client.namespace}"):
            kept = made.get(client.namespace, set())
            gone = [handle async for handle in ours(client, prefix(cluster)) if handle.id not in kept]
            changes += [await _delete(handle, dry=dry) for handle in gone]
    return changes


async def ours(client: Client, begins: str) -> AsyncIterator[ScheduleHandle]:
    async for one in await client.list_schedules(rpc_timeout=PATIENCE):
        if one.id.startswith(begins):
            yield client.get_schedule_handle(one.id)


async def _match(client: Client, one: Wanted, *, dry: bool) -> Change:
    handle = client.get_schedule_handle(one.id)
    try:
        there = await _fields(client, await handle.describe(rpc_timeout=PATIENCE))
    except RPCError as absent:
        if absent.status is not RPCStatusCode.NOT_FOUND:
            raise
        return await _create(client, one, dry=dry)
    differs = _differences(there, one.fields())
    if differs and not dry:
        await handle.update(lambda _: ScheduleUpdate(one.schedule()), rpc_timeout=PATIENCE)
    return Change(one.id, "updated" if differs else "unchanged", differs)


async def _create(client: Client, one: Wanted, *, dry: bool) -> Change:
    try:
        if not dry:
            await client.create_schedule(one.id, one.schedule(), rpc_timeout=PATIENCE)
    except ScheduleAlreadyRunningError:  # someone else has just made it: compare with theirs
        return await _match(client, one, dry=dry)
    return Change(one.id, "created")


async def _delete(handle: ScheduleHandle, *, dry: bool) -> Change:
    if not dry:
        await handle.delete(rpc_timeout=PATIENCE)
    return Change(handle.id, "deleted")


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (there.get(name), value) for name, value in here.items() if there.get(name) != value}


async def _fields(client: Client, described: ScheduleDescription) -> dict[str, Any]:
    """What stands on the cluster, in the same words."""
    schedule, action = described.schedule, described.schedule.action
    if not isinstance(action, ScheduleActionStartWorkflow):
        return {}
    spec, policy = schedule.spec, schedule.policy
    return {
        "workflow": action.workflow,
        "workflow_id": action.id,
        "task_queue": action.task_queue,
        "input": await _input(client, action),
        "every_s": _only([each.every.total_seconds() for each in spec.intervals]),
        "cron": _only([each.comment for each in spec.calendars]),
        "time_zone": spec.time_zone_name or "UTC",
        "jitter_s": spec.jitter.total_seconds() if spec.jitter else 0.0,
        "catchup_window_s": policy.catchup_window.total_seconds() if policy.catchup_window else None,
        "overlap": policy.overlap.name,
        "pause_on_failure": policy.pause_on_failure,
        "paused": schedule.state.paused,
    }


async def _input(client: Client, action: ScheduleActionStartWorkflow) -> Any:
    """Decoded, or as it is if it was written with a key that is gone: then it differs, and is written anew."""
    try:
        return _only(await client.data_converter.decode(list(action.args)))
    except RuntimeError:
        return None


def _only(values: list[Any]) -> Any:
    """Ours have one of each at most; anything else differs from what is wanted."""
    return values[0] if len(values) == 1 else (values or None)
