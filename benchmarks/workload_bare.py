"""The workflow that is measured, as the bare SDK has it at its cheapest: one activity, plain dicts in and out.

It says where it is by three search attributes, as every run of ours does: the server pays for the first one of a run,
and hardly for the next.

It stands outside the benchmarks' packages and imports nothing but the SDK: the sandbox imports it anew in each run,
with every package above it, and that must cost the bare SDK no more than it has to.
"""

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey

WHERE_IT_IS = [
    SearchAttributeKey.for_keyword(name).value_set("measured")
    for name in ("RedoubtPhase", "RedoubtSubject", "RedoubtSeverity")
]


@activity.defn
async def look_at(given: dict[str, Any]) -> dict[str, Any]:
    return {"words": given["reason"]}


@workflow.defn
class OneStep:
    @workflow.run
    async def run(self, given: dict[str, Any]) -> dict[str, Any]:
        workflow.upsert_search_attributes(WHERE_IT_IS)
        return await workflow.execute_activity(
            look_at, given, start_to_close_timeout=timedelta(seconds=30), summary="look at it"
        )
