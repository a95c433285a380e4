"""The end of a scenario's run: its handle, once it has ended as it should."""

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle

Handle = WorkflowHandle[Any, Any]


async def failed(handle: Handle) -> Handle:
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    return handle
