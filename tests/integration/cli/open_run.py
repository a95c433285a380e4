"""A run that stays open until it is told: what the commands look at, follow and steer.

It has the name and the contracts of a renewal, so that the commands find it; a worker of its own runs it.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from schemas.certificates import CertificateRenewalInput, CertificateRenewalResult
from schemas.errors import VerificationFailed
from workflows.steering import Steerable
from workflows.story import Story


@workflow.defn(name="CertificateRenewal")
class OpenRun(Steerable):
    @workflow.run
    async def run(self, given: CertificateRenewalInput) -> CertificateRenewalResult:
        self.story = Story(given.subject, steps=2)
        self.story.begin()
        self.story.enter("switching", waits_for="the test", who_can_act="alice")
        self.story.row("web-1", state="staged")
        self.finished = False
        if given.reason == "held up":
            workflow.start_activity(
                "ask_for_ever", "x", start_to_close_timeout=timedelta(minutes=1), retry_policy=RetryPolicy()
            )
        await workflow.wait_condition(lambda: self.finished or bool(self.abort_reason))
        await self.may_go_on()
        self.story.enter("done")
        if given.reason == "fail":
            raise VerificationFailed("web-1 does not serve it.")
        return CertificateRenewalResult(operation="1", outcome="renewed", certificate=given.certificate)

    @workflow.signal
    def finish(self) -> None:
        self.finished = True
