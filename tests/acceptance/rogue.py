"""A workflow of somebody who can write to Temporal: it starts the steps of a renewal itself, on their own queue."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError


@workflow.defn
class Rogue:
    @workflow.run
    async def run(self, steps: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
        """Each step with the code of the error by which it was refused; `done` if it was not."""
        return [(name, await self._tried(name, given)) for name, given in steps]

    async def _tried(self, name: str, given: dict[str, Any]) -> str:
        try:
            await workflow.execute_activity(
                name,
                given,
                task_queue="certificates",
                start_to_close_timeout=timedelta(minutes=2),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError as refused:
            return (refused.cause.type or "") if isinstance(refused.cause, ApplicationError) else "unknown"
        return "done"
