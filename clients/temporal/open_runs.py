"""Runs that are under way, by the client of the worker whose activity asks."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError, RPCStatusCode

from clients.temporal.requests import presenting
from schemas.contract import Contract
from schemas.errors import DependencyUnavailable
from schemas.principals import SignedRequest

T = TypeVar("T")

PATIENCE: Final = timedelta(seconds=30)


class OpenRuns:
    """For activities in threads; `loop` is the one that the client lives in."""

    def __init__(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def tell(  # noqa: PLR0913, PLR0917 - as the port has it
        self,
        run: str,
        workflow_id: str,
        update: str,
        given: Contract,
        request: SignedRequest | None,
        once: str,
    ) -> bool:
        handle = self._client.get_workflow_handle(workflow_id, run_id=run)
        return self._answer(workflow_id, self._told(handle, update, given, request, once)) is not None

    def open_run(self, workflow_id: str) -> str | None:
        described = self._answer(
            workflow_id, self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=PATIENCE)
        )
        if described is None or described.status is not WorkflowExecutionStatus.RUNNING:
            return None
        return described.run_id

    @staticmethod
    async def _told(
        handle: WorkflowHandle[Any, Any],
        update: str,
        given: Contract,
        request: SignedRequest | None,
        once: str,
    ) -> bool | None:
        try:
            with presenting(request):
                await handle.execute_update(update, given, id=once, result_type=dict, rpc_timeout=PATIENCE)
        except WorkflowUpdateFailedError:
            return None
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            raise DependencyUnavailable(f"No worker answered for {handle.id} in time.") from None
        return True

    def _answer(self, workflow_id: str, asked: Coroutine[Any, Any, T]) -> T | None:
        """None where Temporal knows no run of this ID, or none that is open."""
        try:
            return asyncio.run_coroutine_threadsafe(asked, self._loop).result()
        except RPCError as refused:
            if refused.status is RPCStatusCode.NOT_FOUND:
                return None
            raise DependencyUnavailable(
                f"Temporal answers {refused.status.name} about {workflow_id}."
            ) from refused
