"""With a policy installed: who is granted nothing causes nothing, who may does, and the sweep does its work."""

import asyncio
import json

import pytest
from temporalio.client import WorkflowFailureError

from clients.identities.requesting import signed_request
from clients.settings import load
from clients.signers.file import FileSigner
from clients.temporal.requests import presenting
from rules.requests import Facing, input_digest
from schemas.certificates import CertificateRenewalInput, CertificateSweepInput, CertificateSweepResult
from schemas.principals import Act, Principal, Shown
from tests.acceptance.fleet import Fleet
from tests.acceptance.governed import WWW, govern, signed_by_anna
from tests.unit.policies.people import Generated
from workers.wiring import Wiring
from workflows.failures import code_of


def test_who_is_granted_nothing_causes_no_effect_and_who_may_does(fleet: Fleet) -> None:
    fleet.build(targets=("web-1",))
    govern(fleet)
    fleet.worker()
    wiring = Wiring(load(fleet.folder / "redoubt.yaml"))
    asyncio.run(_without_a_grant(wiring))
    assert fleet.shown() == {}

    given = json.dumps({"certificate": "www"})
    started = fleet.redoubt(
        "start", "CertificateRenewal", "--input", "-", *signed_by_anna(fleet), given=given
    )
    assert started.code == 0, started.err
    by_anna = fleet.watch(WWW)
    assert by_anna["state"] == "COMPLETED", by_anna
    first = fleet.shown()
    assert set(first) == {"web-1"}

    fleet.sites["web-1"].target.joinpath("current").unlink()
    assert asyncio.run(_swept(wiring)) == ("www",)
    assert set(fleet.shown()) == {"web-1"}
    assert fleet.shown() != first


async def _without_a_grant(wiring: Wiring) -> None:
    """Unsigned, as from the Web UI, and by a stranger who says that they are `anna`."""
    client, given = (
        await wiring.client("certificates"),
        CertificateRenewalInput(certificate="www", force=True),
    )
    facing = Facing("test", client.namespace, Act.START, "CertificateRenewal", WWW, input_digest(given))
    posing = signed_request(
        FileSigner("own", "env:KEY", Generated()), Principal(name="anna", shown=Shown.SIGNING_KEY), facing
    )
    for request in (None, posing):
        with presenting(request):
            run = await client.start_workflow("CertificateRenewal", given, id=WWW, task_queue="certificates")
        with pytest.raises(WorkflowFailureError) as failed:
            await run.result()
        assert code_of(failed.value) == "NotAuthorized"


async def _swept(wiring: Wiring) -> tuple[str, ...]:
    """What a sweep renews, which nobody has signed."""
    client = await wiring.client("certificates")
    run = await client.start_workflow(
        "CertificateSweep",
        CertificateSweepInput(),
        id="certificate-sweep/all",
        task_queue="certificates",
        result_type=CertificateSweepResult,
    )
    found: CertificateSweepResult = await run.result()
    return found.renewed
