"""The run whose activity is at work now: how the records name it, and whether its ID is that of its subject."""

from temporalio import activity

from schemas.catalogue import WORKFLOW_TYPES
from schemas.contract import WorkflowInput
from schemas.errors import InvalidInput


def this_run() -> str:
    """`workflow ID/run ID`."""
    info = activity.info()
    return f"{info.workflow_id}/{info.workflow_run_id}"


def refuse_another_id(kind: str, given: WorkflowInput) -> None:
    """The ID is what keeps two runs from working on one subject; a person can type any into the Web UI."""
    wanted = WORKFLOW_TYPES[kind].workflow_id(given)
    if activity.info().workflow_id != wanted:
        raise InvalidInput(f"A {kind} of {given.subject} is started under the workflow ID {wanted!r}.")
