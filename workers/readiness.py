"""What /readyz checks: that this process could take and finish its next task now."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from schemas.errors import DependencyUnavailable
from workers.health import Check
from workers.pools import Pool
from workers.wiring import Wiring

_RPC: Final = timedelta(seconds=1.5)
_THREADS: Final = 4
"""Of the checks' own: if they hang, the checks time out, and nothing else waits for them."""


def checks_of(
    wiring: Wiring, pools: Sequence[Pool], workers: Mapping[str, Worker], dead: Callable[[], Sequence[str]]
) -> dict[str, Check]:
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="readiness")

    def in_thread(check: Callable[[], None]) -> Check:
        async def checked() -> None:
            await asyncio.get_running_loop().run_in_executor(threads, check)

        return checked

    clients = {worker.client.namespace: worker.client for worker in workers.values()}
    stores = {name for pool in pools for name in pool.key_stores(wiring.settings)}
    return {
        "polling": partial(_polling, workers, dead),
        **{f"temporal {namespace}": partial(_reachable, client) for namespace, client in clients.items()},
        "records": in_thread(wiring.check_records),
        **{f"key store {name}": in_thread(wiring.key_store(name).check) for name in sorted(stores)},
    }


async def _polling(workers: Mapping[str, Worker], dead: Callable[[], Sequence[str]]) -> None:
    stopped = [name for name, worker in workers.items() if not worker.is_running] + list(dead())
    if stopped:
        raise DependencyUnavailable(f"Not polling: {', '.join(stopped)}.")


async def _reachable(client: Client) -> None:
    """The server answers, and has the namespace."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await client.workflow_service.describe_namespace(request, timeout=_RPC)
    except RPCError as away:
        raise DependencyUnavailable(f"Temporal does not answer: {away.status.name}.") from None
