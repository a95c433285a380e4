"""The policy of a governed stack: it can be used, it asks two of three for `www`, and its keys are nobody else's."""

from pathlib import Path
from typing import Any

from cli.dev import governed
from cli.dev.ports import Ports
from clients.identities.client_certificates import fingerprint
from clients.policies.files import judge
from rules.requests import fingerprint_of
from schemas.policies import Policy
from schemas.settings.api import ApiSettings
from schemas.settings.policies import PolicySettings


def policy_in(folder: Path) -> Policy:
    file = governed.write_policy(folder)
    policy, problems = judge(file.read_bytes(), file)
    assert not problems
    assert policy is not None
    return policy


def test_two_of_three_approve_www_and_nobody_is_asked_for_anything_else(tmp_path: Path) -> None:
    (rule,) = policy_in(tmp_path).approvals
    assert (rule.needed, rule.scopes, rule.groups[0].approvers) == (2, ("www",), governed.APPROVERS)


def test_every_key_differs_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    policy = policy_in(tmp_path)
    keys = [key for entry in policy.principals.values() for key in entry.signing_keys]
    assert len({fingerprint_of(key) for key in keys}) == len(keys) == 7
    files = list((tmp_path / governed.FOLDER).glob("*.pem"))
    private = [file for file in files if b"PRIVATE" in file.read_bytes()]
    # Seven less the admin's, which nobody holds, and the robot's for its certificate.
    assert len(private) == 7
    assert {file.stat().st_mode & 0o777 for file in private} == {0o600}


def test_the_robot_is_known_by_its_certificates_key(tmp_path: Path) -> None:
    known = policy_in(tmp_path).principals[governed.ROBOT].client_certificates
    assert known == (fingerprint(governed.client_files(tmp_path)[1].read_text("ascii")),)


def test_written_again_it_stays_as_it_is(tmp_path: Path) -> None:
    first = governed.write_policy(tmp_path).read_bytes()
    assert governed.write_policy(tmp_path).read_bytes() == first


def test_the_settings_take_the_policy_and_the_api(tmp_path: Path) -> None:
    assert not governed.is_governed(tmp_path)
    governed.write_policy(tmp_path)
    assert governed.is_governed(tmp_path)
    document: dict[str, Any] = {"certificates": {}, "codec_server": {}}
    governed.add(document, tmp_path, Ports())
    assert PolicySettings.model_validate(document["policy"]).sign_as == governed.OPERATOR
    tls = ApiSettings.model_validate(document["api"]).tls
    assert tls is not None
    assert tls.client_certificates == "required"
    assert document["certificates"]["api"]["targets"][0]["verify"]["port"] == Ports().api
