"""Who acts now, for the journal: what the running activity knows."""

from temporalio import activity

from clients.temporal.correlation import current_id
from store import Context


def acting() -> Context:
    if not activity.in_activity():
        return Context(correlation_id=current_id())
    info = activity.info()
    return Context(run=f"{info.workflow_id}/{info.workflow_run_id}", correlation_id=current_id())
