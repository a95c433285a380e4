"""A change of the policy, from its draft to the runs that it governs: approved by two admins, and by nothing less."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from cli.dev.servers import Token
from clients.settings import load
from tests.acceptance.fleet import Fleet
from tests.unit.policies.people import pem
from workers.wiring import Wiring

WWW = "certificate-renewal/www"
ADMINS = {"root": "01", "deputy": "02"}
CARLS = ("--as", "carl", "--token", "people/03")


def test_a_change_is_approved_and_each_run_records_the_version_that_it_used(
    fleet: Fleet, softhsm: Token
) -> None:
    fleet.build(targets=("web-1",))
    fleet.env.update(softhsm.env)
    first = _first(fleet, softhsm)
    applied = _apply(fleet, first)
    assert applied.code == 0, applied.err
    fleet.worker()
    annas = ("--as", "anna", "--key", str(fleet.folder / "anna.pem"))
    assert _started(fleet, *annas).code == 0
    assert fleet.watch(WWW)["state"] == "COMPLETED"

    second = _second(first)
    file = _write(fleet, second)
    said = fleet.redoubt("policy", "diff", str(file)).out.splitlines()
    assert said == [
        "carl gains the role operator for certificates, *.",
        "anna loses the role operator for certificates, *.",
        "New limit: at most 2 * of certificates (*) within 3600 s.",
    ]
    for needed, admin in (("0 of 2", "root"), ("1 of 2", "deputy")):
        assert (
            f"{needed} admins have signed by a key in hardware"
            in fleet.redoubt("policy", "apply", str(file)).err
        )
        by = ("--token", f"people/{ADMINS[admin]}")
        signed = fleet.redoubt("policy", "sign", str(file), *by, given="y\n")
        assert signed.code == 0, signed.err
        assert "anna loses the role operator" in signed.err
    assert fleet.redoubt("policy", "apply", str(file)).code == 0

    assert _started(fleet, *annas).code == 0
    refused = fleet.watch(WWW)
    assert refused["error"]["code"] == "NotAuthorized", refused
    assert _started(fleet, *CARLS).code == 0
    assert fleet.watch(WWW)["state"] == "COMPLETED"
    assert _used(fleet) == [("anna", 1), ("carl", 2)]
    _no_third(fleet)
    (change,) = [one for one in _evidence(fleet) if one["what"] == "policy.applied"][1:]
    assert change["facts"]["signed_by"] == ["deputy-1", "root-1"]


def _no_third(fleet: Fleet) -> None:
    """Two operations have begun within the hour, under whichever version: there is room for no third."""
    shown = fleet.shown()
    assert _started(fleet, *CARLS).code == 0
    full = fleet.watch(WWW)
    assert full["error"]["code"] == "OutsideLimits", full
    assert "2 operations of * have begun within 3600 s, and 2 may" in full["error"]["detail"]
    assert fleet.shown() == shown
    (held_back,) = [one for one in _evidence(fleet) if one["what"] == "operation.held_back"]
    begun = {one["operation"] for one in _evidence(fleet) if one["what"] == "key.generated"}
    assert held_back["operation"] not in begun


def _first(fleet: Fleet, token: Token) -> dict[str, Any]:
    """Admins and Carl have keys in a token, Anna has hers in a file."""
    fleet.document["key_stores"]["people"] = {
        "kind": "pkcs11",
        "module": str(token.module),
        "token": token.label,
        "pin": token.pin_ref,
    }
    fleet.write()
    keys = Wiring(load(fleet.folder / "redoubt.yaml")).key_store("people")
    for number in (*ADMINS.values(), "03"):
        keys.generate(bytes.fromhex(number), number, "EC-P256")
    private = fleet.folder / "anna.pem"
    private.touch(mode=0o600)
    private.write_bytes(pem())
    by = {name: ("--token", f"people/{number}") for name, number in {**ADMINS, "carl": "03"}.items()}
    by["anna"] = ("--key", str(private))
    people = {name: {"signing_keys": _line(fleet, name, *how)} for name, how in by.items()}
    return {
        "installation": "test",
        "version": 1,
        "admins_needed": 2,
        "hardware": {"software_tokens": True},
        "principals": people,
        "grants": [
            {"role": "admin", "principals": [*ADMINS]},
            {"role": "operator", "principals": ["anna"], "capability": "certificates"},
        ],
    }


def _line(fleet: Fleet, name: str, *how: str) -> Any:
    """As `redoubt approvals key` prints it for the policy."""
    said = fleet.redoubt("approvals", "key", "--key-id", f"{name}-1", *how)
    assert said.code == 0, said.err
    return yaml.safe_load(said.out)


def _second(first: dict[str, Any]) -> dict[str, Any]:
    digest = hashlib.sha256(yaml.safe_dump(first).encode()).hexdigest()
    carl = {"role": "operator", "principals": ["carl"], "capability": "certificates"}
    limit = {"kind": "rate", "capability": "certificates", "most": 2, "within_s": 3600}
    return {
        **first,
        "version": 2,
        "previous_sha256": digest,
        "grants": [first["grants"][0], carl],
        "limits": [limit],
    }


def _write(fleet: Fleet, policy: dict[str, Any]) -> Path:
    file = fleet.folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy))
    return file


def _apply(fleet: Fleet, first: dict[str, Any]) -> Any:
    file = _write(fleet, first)
    fleet.document["policy"] = {"root_sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    fleet.write()
    return fleet.redoubt("policy", "apply", str(file))


def _started(fleet: Fleet, *signing: str) -> Any:
    given = json.dumps({"certificate": "www", "force": True})
    return fleet.redoubt("start", "CertificateRenewal", "--input", "-", *signing, given=given)


def _evidence(fleet: Fleet) -> list[Any]:
    found: list[Any] = fleet.redoubt("audit", "log", "-o", "json").json
    return found


def _used(fleet: Fleet) -> list[tuple[str, int]]:
    """Who was let start an operation, and by which version."""
    allowed = [
        one["facts"]
        for one in _evidence(fleet)
        if one["what"] == "authorization.allowed" and one["kind"] == "outcome"
    ]
    return [(one["requester"], one["policy_version"]) for one in allowed]
