"""With a policy installed: who is granted nothing causes nothing, who may does, and the sweep does its work."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import WorkflowFailureError
from temporalio.worker import Worker

from clients.identities.requesting import signed_request
from clients.settings import load
from clients.signers.file import FileSigner
from clients.temporal.requests import presenting
from rules.requests import Facing, input_digest
from schemas.certificates import CertificateRenewalInput, CertificateSweepInput, CertificateSweepResult
from schemas.policies import Grant, Policy, PrincipalEntry, Role
from schemas.principals import Act, Principal, Shown
from schemas.signing_keys import SigningKey
from tests.acceptance.fleet import Fleet
from tests.acceptance.rogue import Rogue
from tests.unit.policies.people import ADMIN, Generated, key_of, pem
from workers.wiring import Wiring
from workflows.failures import code_of

WWW = "certificate-renewal/www"
DIRECTLY = ("make_key", "obtain_certificate", "stage", "switch", "verify")


def test_who_is_granted_nothing_causes_no_effect_and_who_may_does(fleet: Fleet) -> None:
    fleet.build(targets=("web-1",))
    _govern(fleet)
    fleet.worker()
    wiring = Wiring(load(fleet.folder / "redoubt.yaml"))
    asyncio.run(_without_a_grant(wiring))
    _by_the_steps_themselves(fleet, wiring)
    assert fleet.shown() == {}

    given = json.dumps({"certificate": "www"})
    signed = ("--as", "anna", "--key", str(fleet.folder / "secrets" / "anna"))
    started = fleet.redoubt("start", "CertificateRenewal", "--input", "-", *signed, given=given)
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


def _by_the_steps_themselves(fleet: Fleet, wiring: Wiring) -> None:
    """An operation stands in the records that nobody was admitted to start; each step is started directly."""
    journal = wiring.journal()
    operation = journal.open(
        kind="CertificateRenewal",
        subject="www",
        workflow_id=WWW,
        run=f"{WWW}/1",
        who="service:certificates",
        correlation_id="",
        state=_plan(fleet),
    ).operation
    step = {"operation": operation, "certificate": "www", "group": "web-1", "target": "web-1"}
    refused = asyncio.run(_rogue(wiring, [(name, {**step, "issuer": "acme"}) for name in DIRECTLY]))
    assert dict(refused)["make_key"] == dict(refused)["obtain_certificate"] == "NotAuthorized"
    # The later steps need what the earlier ones have left, so they come to no effect even sooner.
    assert {code for _, code in refused} <= {"NotAuthorized", "UnknownSubject"}
    assert journal.steps(operation) == ()
    journal.close(operation, "undone", {})


async def _rogue(wiring: Wiring, steps: list[Any]) -> list[tuple[str, str]]:
    client = await wiring.client("certificates")
    async with Worker(client, task_queue="rogue", workflows=[Rogue]):
        run = await client.start_workflow(Rogue.run, steps, id=WWW, task_queue="rogue")
        return [(name, code) for name, code in await run.result()]


def _govern(fleet: Fleet) -> None:
    """Install a policy by which `anna` and the service of certificates may start, and nobody else."""
    anna = PrincipalEntry(signing_keys=(key_in(fleet.folder / "secrets" / "anna"),))
    service = PrincipalEntry(signing_keys=(key_in(fleet.folder / "secrets" / "service"),))
    root = PrincipalEntry(signing_keys=(key_of(ADMIN, "root-1"),))
    may_start = ("anna", "service:certificates")
    policy = Policy(
        installation="test",
        version=1,
        principals={"anna": anna, "service:certificates": service, "root": root},
        grants=(
            Grant(role=Role.ADMIN, principals=("root",)),
            Grant(role=Role.OPERATOR, principals=may_start, capability="certificates"),
        ),
    )
    file = fleet.folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy.model_dump(mode="json")))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    fleet.document["policy"] = {"root_sha256": digest, "service_key": "file:secrets/service"}
    fleet.write()
    applied = fleet.redoubt("policy", "apply", str(file))
    assert applied.code == 0, applied.err


def key_in(file: Path) -> SigningKey:
    file.touch(mode=0o600)
    file.write_bytes(pem())

    class Here(Generated):
        def resolve(self, reference: str) -> bytes:  # noqa: ARG002 - the port's
            return file.read_bytes()

    return key_of(FileSigner("own", "env:KEY", Here()), file.name)


def _plan(fleet: Fleet) -> dict[str, Any]:
    return {
        "operation": "",
        "certificate": "www",
        "names": fleet.www["names"],
        "issuers": ["acme"],
        "key_holder": "target",
        "key_algorithm": "EC-P256",
        "groups": [{"name": "web-1", "targets": ["web-1"]}],
        "waves": [["web-1"]],
        "grace_s": 0.0,
        "issuer_patience_s": 60.0,
        "target_patience_s": 60.0,
        "undo_patience_s": 60.0,
    }
