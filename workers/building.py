"""A pool and its settings become a Temporal worker.

Slots are fixed where the pool drives a token, whose sessions are few whatever memory and CPU allow; else they are given
while these allow. The settings say how many at most. Pollers scale with the load.
Activities are synchronous and run in a thread pool as large as the slots. A pool is unversioned unless its
settings name a deployment: versioning belongs to the pool, never to a workflow class.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final, Literal

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import (
    PollerBehaviorAutoscaling,
    ResourceBasedSlotConfig,
    Worker,
    WorkerDeploymentConfig,
    WorkerTuner,
)

from schemas.errors import InvalidSettings
from schemas.settings import Settings
from schemas.settings.key_stores import Pkcs11Store
from schemas.settings.processes import PoolSettings
from workers.pools import Pool
from workers.wiring import Wiring

Only = Literal["workflows", "activities"]

_TARGET_MEMORY: Final = 0.8
_TARGET_CPU: Final = 0.9
_RAMP: Final = timedelta(milliseconds=5)
"""Between two activity slots beyond the minimum; the SDK's 50 ms would hold a pool to 20 starts a second."""
_CACHED_WORKFLOWS: Final = 200
"""Runs kept in memory between their tasks, at 0.5 MiB each."""


def build_worker(client: Client, pool: Pool, wiring: Wiring, only: Only | None) -> Worker:
    given = wiring.settings.pools.get(pool.name, PoolSettings())
    workflows = [] if only == "activities" else pool.load_workflows()
    activities = [] if only == "workflows" else pool.build_activities(wiring)
    if not workflows and not activities:
        raise InvalidSettings(f"The pool {pool.name!r} has no {only}.")
    return Worker(
        client,
        task_queue=pool.name,
        workflows=workflows,
        activities=activities,
        activity_executor=_threads(f"{pool.name}-activity", given.max_activities),
        workflow_task_executor=_threads(f"{pool.name}-workflow", given.max_workflow_tasks),
        tuner=_tuner(given, fixed=drives_a_token(pool, wiring.settings)),
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(minimum=2, initial=2, maximum=20),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(minimum=1, initial=2, maximum=20),
        max_cached_workflows=_CACHED_WORKFLOWS,
        graceful_shutdown_timeout=timedelta(seconds=given.graceful_shutdown_s),
        **_version(pool, given),
    )


def drives_a_token(pool: Pool, settings: Settings) -> bool:
    stores = (settings.key_stores.get(name) for name in pool.key_stores(settings))
    return any(isinstance(store, Pkcs11Store) for store in stores)


def _threads(name: str, most: int) -> ThreadPoolExecutor:
    """Threads are made as they are needed, so the number costs nothing on an idle pool."""
    return ThreadPoolExecutor(most, thread_name_prefix=name)


def _tuner(given: PoolSettings, *, fixed: bool) -> WorkerTuner:
    if fixed:
        return WorkerTuner.create_fixed(
            workflow_slots=given.max_workflow_tasks, activity_slots=given.max_activities
        )
    return WorkerTuner.create_resource_based(
        target_memory_usage=_TARGET_MEMORY,
        target_cpu_usage=_TARGET_CPU,
        workflow_config=_between(min(5, given.max_workflow_tasks), given.max_workflow_tasks, timedelta(0)),
        activity_config=_between(min(10, given.max_activities), given.max_activities, _RAMP),
    )


def _between(least: int, most: int, ramp: timedelta) -> ResourceBasedSlotConfig:
    return ResourceBasedSlotConfig(minimum_slots=least, maximum_slots=most, ramp_throttle=ramp)


def _version(pool: Pool, given: PoolSettings) -> dict[str, Any]:
    if given.deployment is None:
        # The SDK would hash every loaded module to make one up.
        return {"build_id": given.build_id or "unversioned"}
    if given.build_id is None:
        raise InvalidSettings(f"pools.{pool.name} names a deployment and no build_id.")
    config = WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(given.deployment, given.build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior[given.versioning],
    )
    return {"deployment_config": config}
