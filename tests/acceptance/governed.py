"""A fleet under a policy, and an operation in its records that nobody was admitted to start."""

import hashlib
from pathlib import Path
from typing import Any

import yaml
from temporalio.worker import Worker

from clients.signers.file import FileSigner
from schemas.policies import Grant, Policy, PrincipalEntry, Role
from schemas.signing_keys import SigningKey
from tests.acceptance.fleet import Fleet
from tests.acceptance.rogue import Rogue
from tests.unit.policies.people import ADMIN, Generated, key_of, pem
from workers.wiring import Wiring

WWW = "certificate-renewal/www"


def govern(fleet: Fleet) -> None:
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


def signed_by_anna(fleet: Fleet) -> tuple[str, ...]:
    """The options of a command."""
    return ("--as", "anna", "--key", str(fleet.folder / "secrets" / "anna"))


def planted(fleet: Fleet, wiring: Wiring) -> str:
    """The operation, left open."""
    return (
        wiring.journal()
        .open(
            kind="CertificateRenewal",
            subject="www",
            workflow_id=WWW,
            run=f"{WWW}/1",
            who="service:certificates",
            correlation_id="",
            state=_plan(fleet),
        )
        .operation
    )


async def tried_by_a_rogue(
    wiring: Wiring, steps: list[tuple[str, dict[str, Any]]], workflow_id: str = WWW
) -> list[tuple[str, str]]:
    """Each step, started under this ID on its own queue, with the code by which it was refused; or `done`."""
    client = await wiring.client("certificates")
    async with Worker(client, task_queue="rogue", workflows=[Rogue]):
        run = await client.start_workflow(Rogue.run, steps, id=workflow_id, task_queue="rogue")
        return [(name, code) for name, code in await run.result()]


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
