"""A sweep that takes long, on a server that skips time: what it begins late is begun by a request that is good."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from clients.temporal.codec import RedoubtCodec
from schemas.certificates import (
    CertificateSweepInput,
    CertificateSweepResult,
    LookAgain,
    SweepDecision,
    SweepFindings,
)
from schemas.errors import CaRefused, RedoubtError
from schemas.principals import REQUEST_HEADER, SignedRequest
from schemas.settings.certificates import ReplacementPolicy
from tests.integration.workflows.stand_ins import StandIns, plan
from tests.integration.workflows.test_renewal_decisions import server
from tests.replay.ring import TestOnlyRing
from tests.unit.policies.people import request
from workflows.certificates.renewal import CertificateRenewal
from workflows.certificates.sweep import CertificateSweep

__all__ = ["server"]

QUEUE = "sweeping"
FIRST, LATE = "first", "late"
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Sweeping:
    """Two certificates in two waves, an hour apart; each request is about to expire by then."""

    now: datetime
    again: SweepDecision | RedoubtError
    """What there is to say of the late one by then."""
    asked: list[str] = field(default_factory=list)

    @activity.defn
    async def find_due(self, _given: CertificateSweepInput) -> SweepFindings:
        one = SweepDecision(certificate=FIRST, due=True, why="then", distrusted=True, wave=1)
        one = one.model_copy(update={"request": brief(self.now)})
        late = one.model_copy(update={"certificate": LATE, "wave": 2})
        policy = ReplacementPolicy(pause_s=HOUR.total_seconds())
        return SweepFindings(looked_at=2, due=(one, late), replacement=policy)

    @activity.defn
    async def look_again(self, asked: LookAgain) -> SweepDecision:
        self.asked.append(asked.certificate)
        if isinstance(self.again, RedoubtError):
            raise self.again
        return self.again


def brief(at: datetime) -> SignedRequest:
    return request().model_copy(update={"issued_at": at, "expires": at + 1.5 * HOUR})


@pytest_asyncio.fixture(loop_scope="module")
async def now(server: WorkflowEnvironment) -> datetime:
    return await server.get_current_time()


async def swept(
    server: WorkflowEnvironment, sweeping: Sweeping, renewing: StandIns
) -> CertificateSweepResult:
    worker = Worker(
        server.client,
        task_queue=QUEUE,
        workflows=[CertificateSweep, CertificateRenewal],
        activities=[sweeping.find_due, sweeping.look_again, *renewing.activities()],
    )
    async with worker:
        given = CertificateSweepInput(wait_s=60)
        return await server.client.execute_workflow(
            CertificateSweep.run, given, id="certificate-sweep/all", task_queue=QUEUE
        )


async def shown(client: Client, name: str) -> SignedRequest:
    """By which request the certificate's renewal was started."""
    run = await client.get_workflow_handle(f"certificate-renewal/{name}").fetch_history()
    sealed = run.events[0].workflow_execution_started_event_attributes.header.fields[REQUEST_HEADER]
    (opened,) = await RedoubtCodec(TestOnlyRing()).decode([sealed])
    return SignedRequest.model_validate_json(opened.data)


async def test_what_is_begun_when_its_request_has_expired_is_looked_at_again_and_begun_by_another(
    server: WorkflowEnvironment, now: datetime
) -> None:
    fresh = brief(now + HOUR)
    again = SweepDecision(certificate=LATE, due=True, why="now", distrusted=True, request=fresh)
    sweeping, renewing = Sweeping(now, again), StandIns(plan())
    result = await swept(server, sweeping, renewing)
    assert (sweeping.asked, result.renewed) == ([LATE], (FIRST, LATE))
    assert renewing.counted[f"plan/{LATE}"] == 1
    assert await shown(server.client, LATE) == fresh
    assert (await shown(server.client, FIRST)).nonce != fresh.nonce


@pytest.mark.parametrize(
    ("again", "failed"),
    [
        (SweepDecision(certificate=LATE, due=False, why="renewed by hand"), ()),
        (SweepDecision(certificate=LATE, due=True, held_off=True, why="it has failed"), ()),
        (CaRefused("it is not to be had"), (LATE,)),
    ],
)
async def test_what_is_not_due_any_more_is_not_begun(
    server: WorkflowEnvironment, now: datetime, again: Any, failed: tuple[str, ...]
) -> None:
    sweeping, renewing = Sweeping(now, again), StandIns(plan())
    result = await swept(server, sweeping, renewing)
    assert set(sweeping.asked) == {LATE}
    assert (result.renewed, result.failed) == ((FIRST,), failed)
    assert renewing.counted[f"plan/{LATE}"] == 0
