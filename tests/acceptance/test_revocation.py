"""A certificate revoked at a real CA, once real servers serve another: approved, replaced first, and out of a grace.

What the CA says is read where the CA itself keeps it: Pebble's management interface, Vault's revocation list.
"""

import hashlib
import json
import ssl
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from temporalio.client import Client

from cli.demo.oracle import Visitor
from clients.identities.requesting import signed_request
from clients.temporal.requests import presenting
from rules.requests import Facing, input_digest
from schemas.approvals import State
from schemas.catalogue import WORKFLOW_TYPES
from schemas.contract import WorkflowInput
from schemas.policies import Grant, PrincipalEntry, Role
from schemas.principals import Act, Principal, Shown
from schemas.revocations import CertificateRevocationInput, RevocationReason
from store.sql.engine import connect
from store.sql.policies import SqlPolicies
from tests.acceptance.cases import Cases
from tests.acceptance.fleet import NAME, Fleet, wait_until
from tests.acceptance.governed import key_in
from tests.acceptance.test_approvals import APPROVERS, Run, asked, cast, events, rows, started
from tests.conftest import VaultServer
from tests.servers.engines import Engine
from tests.unit.approvals.making import rule
from tests.unit.approvals.people import SIGNERS, policy, vote
from tests.unit.policies.test_chain import put, written

AN_HOUR = 3600.0
SWEEP, REVOCATION = "CertificateSweep", "CertificateRevocation"


def status_at_pebble(ca: Any, chain: bytes) -> tuple[str, int | None]:
    """What Pebble itself says of the leaf: status, and the number of the reason."""
    serial = f"{x509.load_pem_x509_certificate(chain).serial_number:x}"
    trust = ssl.create_default_context(cafile=str(ca.ca_file))
    url = f"{ca.management}/cert-status-by-serial/{serial}"
    with urllib.request.urlopen(url, context=trust, timeout=10) as answer:  # noqa: S310 - our own https URL
        told = json.load(answer)
    return told["Status"], told.get("Reason")


def chain_on(fleet: Fleet, site: str = "web-1") -> bytes:
    return (fleet.sites[site].target / "current" / "fullchain.pem").read_bytes()


def govern(fleet: Fleet) -> None:
    """Two of three approve each revocation, Olga starts, and the service starts what replaces."""
    asks = rule(APPROVERS, hours=1).model_copy(update={"workflow_types": (REVOCATION,)})
    service = PrincipalEntry(signing_keys=(key_in(fleet.folder / "secrets" / "service"),))
    may_start = Grant(role=Role.OPERATOR, principals=("service:certificates",), capability="certificates")
    base = policy(asks)
    people = {**base.principals, "service:certificates": service}
    document = written(base.model_copy(update={"principals": people, "grants": (*base.grants, may_start)}))
    digest = hashlib.sha256(document).hexdigest()
    fleet.document["policy"] = {"root_sha256": digest, "service_key": "file:secrets/service"}
    fleet.write()
    engine = connect(f"sqlite:///{fleet.folder}/redoubt.sqlite")
    put(SqlPolicies(engine), 1, document)
    engine.dispose()


async def revocation_by_olga(client: Client, given: WorkflowInput) -> Run:
    workflow_id = WORKFLOW_TYPES[REVOCATION].workflow_id(given)
    facing = Facing("test", client.namespace, Act.START, REVOCATION, workflow_id, input_digest(given))
    olga = Principal(name="olga", shown=Shown.SIGNING_KEY)
    with presenting(signed_request(SIGNERS["olga"], olga, facing)):
        return await client.start_workflow(REVOCATION, given, id=workflow_id, task_queue="certificates")


@pytest.mark.timeout(300)
async def test_approved_by_two_it_is_replaced_everywhere_and_then_revoked_at_the_ca(
    fleets: Callable[..., Fleet],
) -> None:
    """The renewal that brought it is still in its grace of an hour, which nobody waits for."""
    fleet = fleets().build(targets=("web-1", "web-2"), grace_s=AN_HOUR)
    govern(fleet)
    fleet.worker(pools=("certificates", "audit"))
    client = await Cases(fleet).client()
    renewal = await started(client, "www")
    wait_until(lambda: len(set(fleet.shown().values())) == 2, 90, "a certificate on each target")
    await in_grace(renewal)
    before, doomed = fleet.shown(), [chain_on(fleet, name) for name in fleet.sites]

    given = CertificateRevocationInput(certificate="www", reason=RevocationReason.KEY_COMPROMISE)
    run = await revocation_by_olga(client, given)
    waits = await asked(run)
    assert (await cast(run, vote(waits.digest, "anna"))).state is State.WAITING
    assert fleet.shown() == before, "nothing is replaced before enough have approved"
    assert {status_at_pebble(fleet.ca, chain) for chain in doomed} == {("Valid", None)}
    with Visitor(tuple(site.port for site in fleet.sites.values()), NAME) as visitor:
        assert (await cast(run, vote(waits.digest, "ben"))).state is State.GRANTED
        result = await run.result()

    assert set(result["revoked"]) == set(before.values())
    after = fleet.shown()
    assert after == result["replaced_by"]
    assert not set(after.values()) & set(before.values())
    assert {status_at_pebble(fleet.ca, chain) for chain in doomed} == {("Revoked", 1)}
    served = [chain_on(fleet, name) for name in fleet.sites]
    assert {status_at_pebble(fleet.ca, chain) for chain in served} == {("Valid", None)}
    assert not visitor.failed
    assert "The grace was ended early" in (await renewal.result())["retired"][0]
    assert events(fleet, result["operation"])[-1] == "consumed"
    told = [json.loads(entry) for (entry,) in rows(fleet, "SELECT entry FROM evidence ORDER BY id")]
    ended = [one for one in told if one["what"] == "certificate.grace_ended"]
    assert [(one["kind"], one["who"]) for one in ended] == [
        ("intent", "service:certificates"),
        ("outcome", "service:certificates"),
    ]


async def in_grace(renewal: Run) -> None:
    deadline = time.monotonic() + 60
    while (await renewal.query("status", result_type=dict[str, Any]))["phase"] != "grace":
        assert time.monotonic() < deadline, "the renewal does not come to its grace"


@pytest.mark.timeout(300)
def test_what_vault_has_revoked_is_replaced_out_of_its_grace_and_vault_lists_what_we_revoke(
    fleet: Fleet, vault: VaultServer
) -> None:
    engine = Engine.made(vault)
    fleet.build(targets=("web-1",), grace_s=AN_HOUR)
    fleet.www["issuers"] = ["vault"]
    fleet.document["issuers"]["vault"] = engine.settings(fleet.folder).model_dump(mode="json")
    fleet.write()
    fleet.worker(pools=("certificates", "audit"))
    roots = fleet.folder / "roots.pem"
    roots.write_bytes(engine.issuer(fleet.folder / "looking").trust_anchors())
    fleet.start()
    wait_until(lambda: phase(fleet) == "grace", 90, "the grace")
    first = fleet.shown(roots)

    engine.write("revoke", serial_number=shown_serial(chain_on(fleet)))
    assert ended(fleet, SWEEP, {"wait_s": 20})["running"] == ["www"], "renewed, and in a grace of its own"
    second, doomed = fleet.shown(roots), chain_on(fleet)
    assert set(first) == set(second) == {"web-1"}
    assert second != first

    result = ended(fleet, REVOCATION, {"certificate": "www", "reason": "keyCompromise"})
    third = fleet.shown(roots)
    assert result["revoked"] == list(second.values())
    assert third == result["replaced_by"] != second
    assert serial_of(doomed) in listed(engine)
    assert serial_of(chain_on(fleet)) not in listed(engine)


def phase(fleet: Fleet) -> str:
    told = fleet.redoubt("status", "certificate-renewal/www", "-o", "json")
    return str(told.json.get("phase", "")) if told.code == 0 else ""


def ended(fleet: Fleet, kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a run gave, once it has ended well."""
    words = ("start", kind, "--input", "-", "--wait", "-o", "jsonl")
    told = fleet.redoubt(*words, given=json.dumps(given))
    assert told.code == 0, told.err + told.out
    result: dict[str, Any] = json.loads(told.out.splitlines()[-1])["result"]
    return result


def serial_of(chain: bytes) -> int:
    return x509.load_pem_x509_certificate(chain).serial_number


def shown_serial(chain: bytes) -> str:
    text = f"{serial_of(chain):x}"
    text = text.zfill(len(text) + len(text) % 2)
    return ":".join(text[at : at + 2] for at in range(0, len(text), 2))


def listed(engine: Engine) -> set[int]:
    with urllib.request.urlopen(engine.crl_url, timeout=10) as answer:  # noqa: S310 - on loopback
        return {one.serial_number for one in x509.load_der_x509_crl(answer.read())}
