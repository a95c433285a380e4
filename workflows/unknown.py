"""Refuses the workflow types that nobody has registered, at once: by default such a run would wait for ever."""

from collections.abc import Sequence
from typing import NoReturn

from temporalio import workflow
from temporalio.common import RawValue

from schemas.errors import UnknownWorkflowType


@workflow.defn(dynamic=True)
class UnknownWorkflow:
    @workflow.run
    async def run(self, _args: Sequence[RawValue]) -> NoReturn:
        raise UnknownWorkflowType(f"The task queue {workflow.info().task_queue!r} has no such workflow type.")
