"""`redoubt policy`: from a draft to a version that holds, and everything that it refuses on the way."""

import hashlib
import json
from datetime import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cli.checks import State, checked
from cli.checks_here import local_checks
from cli.output import ExitCode
from cli.signing import Chosen, who_signs
from clients.settings import load
from schemas.limits import RateLimit
from schemas.policies import Grant, Policy, PrincipalEntry, Role, Window
from schemas.settings import Settings
from schemas.settings.policies import PolicySettings
from tests.servers.fido2_key import SoftwareKey, plug_in
from tests.unit.approvals.making import rule
from tests.unit.cli.conftest import Redoubt
from tests.unit.policies.people import pem, policy
from workers.wiring import Wiring

OPERATOR = Grant(role=Role.OPERATOR, principals=("anna",), capability="certificates", scope="www*")


def put(file: Path, some: Policy) -> str:
    file.write_text(yaml.safe_dump(some.model_dump(mode="json")))
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redoubt: Redoubt) -> Path:
    monkeypatch.setenv("REDOUBT_CONFIG", str(tmp_path / "redoubt.yaml"))
    settings(tmp_path, None)
    assert redoubt("store", "migrate").code == ExitCode.OK
    return tmp_path


def settings(folder: Path, root: str | None) -> None:
    given = {"installation": "test", "policy": {"root_sha256": root}}
    (folder / "redoubt.yaml").write_text(json.dumps(given))


def test_check_names_every_problem_by_its_line(folder: Path, redoubt: Redoubt) -> None:
    file = folder / "policy.yaml"
    file.write_text(
        "installation: test\n"
        "version: 2\n"
        "principals: {anna: {}}\n"
        "windows:\n"
        "- {capability: certificates, begin: 22:30}\n"
        "- {capability: certificates, time_zone: Europe/Atlantis}\n"
        "grants:\n"
        "- {role: king, principals: [anna]}\n"
        "- {role: viewer, principals: []}\n"
    )
    said = redoubt("policy", "check", str(file))
    assert said.code == ExitCode.USAGE
    where = (
        (5, "windows.0.begin"),
        (6, "windows.1.time_zone"),
        (8, "grants.0.role"),
        (9, "grants.1.principals"),
    )
    for line, name in where:
        assert f"policy.yaml:{line}: {name}: " in said.out
    file.write_text("installation: test\nversion: 1\nprincipals: {anna: {}}\nadmins_needed: 1\n")
    said = redoubt("policy", "check", str(file))
    assert "policy.yaml:4: admins_needed: " in said.out


def test_an_admins_key_in_a_file_is_no_key_in_hardware(folder: Path, redoubt: Redoubt) -> None:
    """Whatever the file says of it: there is no word for it any more."""
    people = policy().principals
    in_a_file = people["anna"].signing_keys[0].model_copy(update={"id": "root-1"})
    file = folder / "policy.yaml"
    put(file, policy(principals={**people, "root": PrincipalEntry(signing_keys=(in_a_file,))}))
    said = redoubt("policy", "check", str(file))
    assert said.code == ExitCode.USAGE
    assert (
        "root is admin and has no signing key in hardware (root-1 does not count: it lies in a file)"
        in said.out
    )
    claimed = yaml.safe_load(file.read_text())
    claimed["principals"]["root"]["signing_keys"][0]["hardware"] = True
    file.write_text(yaml.safe_dump(claimed))
    assert "hardware" in redoubt("policy", "check", str(file)).out


def test_expected_decisions_are_compared(folder: Path, redoubt: Redoubt) -> None:
    file, expected = folder / "policy.yaml", folder / "expected.yaml"
    put(file, policy(OPERATOR))
    row = {"who": "anna", "act": "start", "capability": "certificates", "subject": "www", "allowed": True}
    expected.write_text(yaml.safe_dump({"decisions": [row, {**row, "who": "unknown", "allowed": False}]}))
    assert redoubt("policy", "test", str(file), "--expect", str(expected)).code == ExitCode.OK
    expected.write_text(yaml.safe_dump({"decisions": [{**row, "subject": "db"}]}))
    said = redoubt("policy", "test", str(file), "--expect", str(expected))
    assert said.code == ExitCode.VERIFICATION
    assert "1 of 1 decisions" in said.err


WINDOW = Window(capability="certificates", scope="www*", days=("friday",), begin=time(8), end=time(12))
LIMIT = RateLimit(kind="rate", capability="certificates", most=1, within_s=3600)
RENEWAL = {"workflow_type": "CertificateRenewal"}
OTHER = {"workflow_type": "CertificateRenewal", "subject": "db", "ago_s": 60}


@pytest.mark.parametrize(
    ("more", "allowed"),
    [
        ({}, True),
        ({**RENEWAL, "at": "2026-11-27T08:00:00Z"}, True),
        ({**RENEWAL, "at": "2026-11-27T12:00:00Z"}, False),
        ({**RENEWAL, "beside": [OTHER]}, False),
        ({**RENEWAL, "beside": [{**OTHER, "ago_s": 3601}]}, True),
        ({**RENEWAL, "approvals": 2}, True),
    ],
)
def test_windows_limits_and_approvals_are_tested_too(
    folder: Path, redoubt: Redoubt, more: dict[str, Any], *, allowed: bool
) -> None:
    file, expected = folder / "policy.yaml", folder / "expected.yaml"
    approvers = Grant(role=Role.APPROVER, principals=("root", "deputy"))
    two = rule(("root", "deputy"), needed=2)
    put(file, policy(OPERATOR, approvers, windows=(WINDOW,), limits=(LIMIT,), approvals=(two,)))
    row = {"who": "anna", "act": "start", "capability": "certificates", "subject": "www"}
    for said, code in ((allowed, ExitCode.OK), (not allowed, ExitCode.VERIFICATION)):
        expected.write_text(yaml.safe_dump({"decisions": [{**row, **more, "allowed": said}]}))
        assert redoubt("policy", "test", str(file), "--expect", str(expected)).code == code
    if "approvals" in more:
        expected.write_text(yaml.safe_dump({"decisions": [{**row, **more, "approvals": 1, "allowed": True}]}))
        assert redoubt("policy", "test", str(file), "--expect", str(expected)).code == ExitCode.VERIFICATION


def test_a_row_that_can_not_be_read_is_named(folder: Path, redoubt: Redoubt) -> None:
    file, expected = folder / "policy.yaml", folder / "expected.yaml"
    put(file, policy())
    row = {"who": "anna", "act": "start", "capability": "certificates", "subject": "www", "allowed": True}
    expected.write_text(yaml.safe_dump({"decisions": [row, {**row, "workflow_type": "CertificatRenewal"}]}))
    said = redoubt("policy", "test", str(file), "--expect", str(expected))
    assert said.code == ExitCode.USAGE
    assert "decisions.1: no such workflow type" in said.err


def test_a_policy_from_its_first_version_to_the_second(
    folder: Path, redoubt: Redoubt, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, SoftwareKey())
    named = ("--as", "root", "--key-id", "root-1", "--relying-party", "redoubt.example.com")
    enrolled = redoubt("approvals", "enroll", "root.fido2", *named)
    root = PrincipalEntry(signing_keys=yaml.safe_load(enrolled.out))
    file, by_root = folder / "policy.yaml", ("--fido2", "root.fido2")
    first = policy(principals={**policy().principals, "root": root})
    digest = put(file, first)
    assert "SHA-256 is " + digest in redoubt("policy", "check", str(file)).err
    refused = redoubt("policy", "apply", str(file))
    assert refused.code != ExitCode.OK
    assert "root_sha256" in refused.err
    assert "everything is allowed" in redoubt("policy", "show").err

    settings(folder, digest)
    assert redoubt("policy", "show").code != ExitCode.OK
    assert redoubt("policy", "apply", str(file)).code == ExitCode.OK
    assert "holds already" in redoubt("policy", "apply", str(file)).err

    second = first.model_copy(
        update={"version": 2, "previous_sha256": digest, "grants": (*first.grants, OPERATOR)}
    )
    put(file, second)
    said = redoubt("policy", "diff", str(file))
    assert said.out == "anna gains the role operator for certificates, www*.\n"
    unread = redoubt("policy", "sign", str(file), *by_root)  # nobody says yes
    assert unread.code != ExitCode.OK
    assert "anna gains the role operator" in unread.err
    assert not (folder / "policy.yaml.sig").exists()
    refused = redoubt("policy", "apply", str(file))
    assert "0 of 1 admins" in refused.err
    (folder / "strange.pem").write_bytes(pem())
    (folder / "strange.pem").chmod(0o600)
    strange = redoubt("policy", "sign", str(file), "--key", str(folder / "strange.pem"))
    assert "NotAuthorized" in strange.err
    assert (
        "root has signed version 2 by the key root-1"
        in redoubt("policy", "sign", str(file), *by_root, "--yes").err
    )
    assert redoubt("policy", "apply", str(file)).code == ExitCode.OK
    shown = redoubt("policy", "show")
    assert "Version 2" in shown.err
    assert "www*" in shown.out


@pytest.mark.parametrize(
    "keys", [(), ("--key", "a", "--token", "b/01"), ("--token", "b/01", "--fido2", "c")], ids=len
)
def test_every_command_that_signs_takes_exactly_one_key(
    folder: Path, redoubt: Redoubt, keys: tuple[str, ...]
) -> None:
    file = folder / "policy.yaml"
    put(file, policy())
    for command in (("policy", "sign", str(file)), ("approvals", "key", "--key-id", "one")):
        said = redoubt(*command, *keys)
        assert said.code == ExitCode.USAGE
        assert "one key to sign with" in said.err


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({}, None),
        ({"sign_with": "env:KEY"}, Chosen("env:KEY")),
        ({"sign_with_token": "hsm/0a"}, Chosen(token="hsm/0a")),
        ({"sign_with_fido2": "/a/b.fido2"}, Chosen(fido2=Path("/a/b.fido2"))),
    ],
)
def test_the_settings_say_who_signs_by_which_key_and_an_option_wins(
    given: dict[str, str], chosen: Chosen | None
) -> None:
    held = PolicySettings.model_validate({**given, **({"sign_as": "anna"} if given else {})})
    some = Settings(installation="test", policy=held)
    found = who_signs(some, "", Chosen())
    assert (found and found.chosen, found and found.who.name) == (chosen, chosen and "anna")
    by_option = who_signs(some, "ben", Chosen(key="ben.pem"))
    assert by_option is not None
    assert (by_option.who.name, by_option.chosen) == ("ben", Chosen(key="ben.pem"))


@pytest.mark.parametrize(
    "given",
    [
        {"sign_as": "anna"},
        {"sign_with": "env:KEY"},
        {"sign_as": "anna", "sign_with": "env:KEY", "sign_with_token": "hsm/0a"},
        {"sign_as": "anna", "sign_with_token": "hsm"},
    ],
)
def test_settings_name_one_key_for_who_signs(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        PolicySettings.model_validate(given)


def test_doctor_says_which_shared_secret_shows_nobody(folder: Path) -> None:
    given = {"installation": "test", "policy": {"root_sha256": "a" * 64}}
    shared = {"secret_path": "file:secrets/path"}
    for more, state in (({}, State.WARNING), ({"secret_path_principal": "web-ui"}, State.OK)):
        document = {**given, "codec_server": {**shared, **more}}
        (folder / "redoubt.yaml").write_text(json.dumps(document))
        checks = local_checks(Wiring(load(folder / "redoubt.yaml")))
        found = next(one for one in checks if one.name == "codec server")
        assert checked(found)[0].state is state


def test_doctor_says_that_no_policy_holds(folder: Path) -> None:
    found = next(one for one in local_checks(Wiring(load(folder / "redoubt.yaml"))) if one.name == "policy")
    assert checked(found)[0].state is State.WARNING
    settings(folder, "a" * 64)
    found = next(one for one in local_checks(Wiring(load(folder / "redoubt.yaml"))) if one.name == "policy")
    assert checked(found)[0].state is State.BROKEN
