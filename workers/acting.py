"""Who acts now, for the journal: what the running activity knows."""

from temporalio import activity

from activities.running import this_run
from clients.temporal.correlation import current_id
from store import Context


def acting() -> Context:
    if not activity.in_activity():
        return Context(correlation_id=current_id())
    return Context(run=this_run(), correlation_id=current_id())
