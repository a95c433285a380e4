"""What every run does before its own code: takes up its correlation, and refuses wrong numbers of arguments.

- The run's span ID comes from the run's own seed, so a replay gives the same. A run that came without headers
  (Web UI, Schedule) begins a trace of its own in the same way.
- The search attribute comes with the start from our clients and parents; a run that came without it sets its own.
- A run with no or too many arguments (the Web UI's empty form) fails at once with `InvalidInput`. An update is
  rejected and a signal dropped with a line in the log: neither may disturb a running run.
- Activities, child workflows, signals and the next run of a continue-as-new get the run's span as their parent.
- Activities and the next run of a continue-as-new also get the signed request that the run was started with; those
  that handle an update get the update's.

Written to be thin: a run builds its headers once.
"""
# ruff: noqa: A002 - `next` and `input` are the SDK's names

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.worker import (
    ContinueAsNewInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    SignalChildWorkflowInput,
    SignalExternalWorkflowInput,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)

from clients.temporal import correlation, requests
from clients.temporal.failures import application_error
from clients.temporal.headers import SEARCH_ATTRIBUTE, headers_of, received, with_search_attribute
from clients.temporal.spans import Ended, error_name
from rules.correlation import RANDOM_BYTES, Correlation
from rules.requests import Facing, input_digest, mismatch
from schemas.contract import Contract
from schemas.errors import InvalidInput, NotAuthorized
from schemas.principals import Act

RECORD_SPAN = "redoubt_record_span"
"""The function outside the sandbox that exports spans; absent where none are exported."""


class Carried:
    """A run's correlation and its headers, made when first needed: a signal may come before the run's code."""

    def __init__(self) -> None:
        self._correlation: Correlation | None = None
        self._headers: dict[str, Payload] = {}
        self._request: dict[str, Payload] = {}

    def correlation(self) -> Correlation:
        if self._correlation is None:
            seed = f"redoubt correlation {workflow.random_seed()}".encode()
            random = hashlib.sha256(seed).digest()[:RANDOM_BYTES]
            self._correlation = received(workflow.info().headers, random)
            self._headers = headers_of(self._correlation)
            self._request = requests.onward(workflow.info().headers)
        return self._correlation

    def onto(self, headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
        self.correlation()
        return {**headers, **self._headers}

    def own(self, headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
        """For what is the run's own (its activities, its next run): with the signed request that started it.

        What handles an update goes with the update's own request, or with none if that came unsigned.
        """
        told = requests.told()
        return {**self.onto(headers), **(self._request if told is None else told)}


class RunInbound(WorkflowInboundInterceptor):
    def __init__(self, next: WorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self._carried = Carried()

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        self.next.init(_RunOutbound(outbound, self._carried))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        carried = self._carried.correlation()
        correlation.enter(carried)
        if workflow.info().typed_search_attributes.get(SEARCH_ATTRIBUTE) != carried.id:
            workflow.upsert_search_attributes([SEARCH_ATTRIBUTE.value_set(carried.id)])
        # The run function is unbound: something stands for `self`.
        _refuse_unless_taken(input.run_fn, [None, *input.args], "This workflow type takes one JSON object")
        record = workflow.extern_functions().get(RECORD_SPAN)
        if record is None:
            return await self.next.execute_workflow(input)
        try:
            result = await self.next.execute_workflow(input)
        except Exception as raised:
            _record(record, carried, raised)
            raise
        _record(record, carried, None)
        return result

    async def handle_signal(self, input: HandleSignalInput) -> None:
        correlation.enter(self._carried.correlation())
        handler = _definition().signals.get(input.signal)
        if handler is not None and not _takes(handler.fn, [None, *input.args]):
            workflow.logger.warning("a signal with a wrong number of arguments was dropped: %s", input.signal)
            return
        await self.next.handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        correlation.enter(self._carried.correlation())
        return await self.next.handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        correlation.enter(self._carried.correlation())
        _refuse_update_unless_taken(input)
        _refuse_misdirected(input)
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        correlation.enter(self._carried.correlation())
        _refuse_update_unless_taken(input)
        with requests.telling(input.headers):
            return await self.next.handle_update_handler(input)


class _RunOutbound(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, carried: Carried) -> None:
        super().__init__(next)
        self._carried = carried

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        input.headers = self._carried.own(input.headers)
        self.next.continue_as_new(input)

    async def signal_child_workflow(self, input: SignalChildWorkflowInput) -> None:
        input.headers = self._carried.onto(input.headers)
        await self.next.signal_child_workflow(input)

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        input.headers = self._carried.onto(input.headers)
        await self.next.signal_external_workflow(input)

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = self._carried.own(input.headers)
        return self.next.start_activity(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = self._carried.own(input.headers)
        return self.next.start_local_activity(input)

    async def start_child_workflow(
        self, input: StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        signed, memo = requests.of_child(input.memo)
        input.headers, input.memo = {**self._carried.onto(input.headers), **signed}, memo or None
        input.search_attributes = with_search_attribute(input.search_attributes, self._carried.correlation())
        return await self.next.start_child_workflow(input)


def _takes(function: Callable[..., Any], args: Sequence[Any]) -> bool:
    code = getattr(function, "__code__", None)
    if code is not None and code.co_argcount == len(args) and not code.co_kwonlyargcount:
        return True  # the usual case: a signature is built for each run's own copy of the function, and takes long
    try:
        inspect.signature(function).bind(*args)
    except TypeError:
        return False
    return True


def _definition() -> workflow._Definition:
    """The class's own: what `get_signal_handler` gives is wrapped, and takes anything until it is called."""
    return workflow._Definition.must_from_class(type(workflow.instance()))  # noqa: SLF001 - nothing public has it


def _refuse_unless_taken(function: Callable[..., Any], args: Sequence[Any], takes: str) -> None:
    if not _takes(function, args):
        raise application_error(InvalidInput(f"{takes}; this start sent another number of arguments."))


def _refuse_update_unless_taken(input: HandleUpdateInput) -> None:
    handler = _definition().updates.get(input.update)
    if handler is not None and not _takes(handler.fn, [None, *input.args]):
        raise application_error(InvalidInput("The update was sent with a wrong number of arguments."))


def _refuse_misdirected(input: HandleUpdateInput) -> None:
    """For comfort, before the history knows of it: a signed update that is for another act, run or time."""
    given = input.args[0]
    try:
        request = requests.of(input.headers)
    except NotAuthorized as refused:
        raise application_error(refused) from None
    if request is None or not isinstance(given, Contract):
        return
    info = workflow.info()
    facing = Facing(
        installation=request.installation,  # which one this is, only the activity knows
        namespace=info.namespace,
        act=Act(input.update),
        workflow_type=info.workflow_type,
        workflow_id=info.workflow_id,
        input_sha256=input_digest(given),
        run_id=info.run_id,
    )
    wrong = mismatch(request, facing, workflow.now())
    if wrong is not None:
        raise application_error(NotAuthorized(f"This was refused: {wrong}."))


def _record(record: Callable[..., Any], carried: Correlation, raised: Exception | None) -> None:
    """By the task that ends the run, and not when it is replayed."""
    if workflow.unsafe.is_replaying():
        return
    info = workflow.info()
    name, started = f"RunWorkflow:{info.workflow_type}", int(info.start_time.timestamp() * 1e9)
    attributes = {"temporalWorkflowID": info.workflow_id, "temporalRunID": info.run_id}
    error = error_name(raised) if raised else None
    record(Ended(name, "SERVER", carried, started, workflow.time_ns(), attributes, error))
