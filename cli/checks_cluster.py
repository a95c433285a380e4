"""Checks of `doctor` on the Temporal cluster: it answers, and has what the runs need."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client

from cli.checks import Check, Concern
from cli.checks_answers import web_ui
from cli.cluster import PATIENCE, speaking
from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import DependencyUnavailable
from schemas.runs import SEARCH_ATTRIBUTES
from workers.wiring import Wiring

Ask = Callable[[Client], Awaitable[str]]


def cluster_checks(wiring: Wiring) -> Iterator[Check]:
    temporal = wiring.settings.temporal
    capabilities = list(dict.fromkeys(kind.capability for kind in WORKFLOW_TYPES.values()))
    namespaces = {temporal.namespace_of(one): one for one in capabilities}
    start = f"start it, or correct temporal.address ({temporal.address}); redoubt dev starts one here"
    for namespace, capability in namespaces.items():
        ask = partial(_asked, wiring, capability)
        yield Check(f"temporal, namespace {namespace}", partial(ask, _namespace), start)
        attributes = " ".join(f"--name {name} --type Keyword" for name in SEARCH_ATTRIBUTES)
        create = f"temporal operator search-attribute create -n {namespace} {attributes}"
        yield Check(f"search attributes, {namespace}", partial(ask, _attributes), create)
    for one in capabilities:
        look = partial(_asked, wiring, one, partial(_pollers, one))
        yield Check(f"workers, {one}", look, f"redoubt workers run {one}")
    yield Check("web ui", partial(web_ui, wiring), "start it, or correct temporal.web_ui")


def _asked(wiring: Wiring, capability: str, ask: Ask) -> str:
    async def talk() -> str:
        with speaking(f"Temporal at {wiring.settings.temporal.address}"):
            return await ask(await wiring.client(capability))

    return asyncio.run(talk())


async def _namespace(client: Client) -> str:
    with speaking(f"The namespace {client.namespace}"):
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), timeout=PATIENCE
        )
    return "answers"


async def _attributes(client: Client) -> str:
    there = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), timeout=PATIENCE
    )
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    missing = [name for name in SEARCH_ATTRIBUTES if there.custom_attributes.get(name) != keyword]
    if missing:
        raise DependencyUnavailable(f"Not registered as Keyword: {', '.join(missing)}; runs can't start.")
    return f"all {len(SEARCH_ATTRIBUTES)} are registered"


async def _pollers(queue: str, client: Client) -> str:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    described = await client.workflow_service.describe_task_queue(request, timeout=PATIENCE)
    if not described.pollers:
        raise Concern("nobody works on this queue: runs wait")
    return f"{len({poller.identity for poller in described.pollers})} process(es)"
