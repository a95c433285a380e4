"""The workflow that is measured, as Redoubt writes it: the same as `workload_bare`, with contracts in and out."""

from datetime import timedelta

from temporalio import activity, workflow

from schemas.certificates import CertificateRenewalInput, Done
from workflows.story import PHASE, SEVERITY, SUBJECT


@activity.defn
async def look_at(given: CertificateRenewalInput) -> Done:
    return Done(words=given.reason)


@workflow.defn
class OneStep:
    @workflow.run
    async def run(self, given: CertificateRenewalInput) -> Done:
        workflow.upsert_search_attributes([key.value_set("measured") for key in (PHASE, SUBJECT, SEVERITY)])
        return await workflow.execute_activity(
            look_at, given, start_to_close_timeout=timedelta(seconds=30), summary="look at it"
        )
