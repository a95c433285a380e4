"""Workflows of which two steps have changed places: what the replayer must notice."""

from datetime import timedelta

from temporalio import workflow

from schemas.certificates import CertificateRenewalInput, CertificateRenewalResult, RenewalPlan
from tests.replay.platform import Errand, ErrandResult, Leg, RunLeg, observe, seen
from workflows.certificates.renewal import CertificateRenewal


@workflow.defn(name="RunErrand")
class Reordered:
    """The timer before the activity."""

    @workflow.run
    async def run(self, given: Errand) -> ErrandResult:
        await workflow.sleep(timedelta(milliseconds=10))
        observed = await workflow.execute_activity(
            observe, Leg(note=given.note), start_to_close_timeout=timedelta(seconds=20), summary="look around"
        )
        result = await workflow.execute_child_workflow(
            RunLeg.run, given, id=f"{workflow.info().workflow_id}/leg"
        )
        return ErrandResult(note=given.note, own=seen(), activity=observed, child=result.own)


@workflow.defn(name="CertificateRenewal")
class StagedLater(CertificateRenewal):
    """A wave is switched before its targets have the new version: the steps of two methods change places."""

    @workflow.run
    async def run(self, given: CertificateRenewalInput) -> CertificateRenewalResult:
        return await super().run(given)

    async def _stage(self, plan: RenewalPlan) -> None:
        await super()._switch(plan, plan.waves[0], "switching first")

    async def _switch(self, plan: RenewalPlan, wave: tuple[str, ...], phase: str) -> None:
        if wave == plan.waves[0]:
            await super()._stage(plan)
        else:
            await super()._switch(plan, wave, phase)
