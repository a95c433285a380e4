"""Every named point of the code (`rules.points`) is killed at by a test that exists and that `make test` runs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.test_kills import PASSED_BY

ROOT = Path(__file__).parents[2]
ROOMS = ("activities", "api", "cli", "clients", "rules", "schemas", "store", "workers", "workflows")

_RENEWALS = (
    "tests/acceptance/test_kills.py::test_a_worker_may_be_killed_at_every_point_of_a_renewal_and_of_its_undo"
)
_APPROVALS = "tests/acceptance/test_approvals.py::test_two_of_three_approve_and_nothing_less_renews"
_REVOKED = (
    "tests/acceptance/test_revoked.py"
    "::test_a_worker_killed_once_the_ca_has_revoked_has_it_revoked_once_and_replaced_once"
)
_DECODED = (
    "tests/integration/api/test_codec_server_process.py"
    "::test_killed_with_a_decode_recorded_it_has_told_nobody_and_the_next_one_answers"
)
_ACCOUNT = "tests/conformance/test_acme_features.py::test_killed_anywhere_either_key_goes_on"
_ORDERS = "tests/conformance/test_issuers.py::test_killed_anywhere_an_order_ends_with_one_certificate"
_LISTS = (
    "tests/unit/issuers/test_local_revocations.py::test_killed_anywhere_a_revocation_ends_in_a_whole_list"
)
_LOG = "tests/integration/store/test_crashes.py::test_the_next_process_goes_on"
_SPOOL = "tests/integration/store/test_crashes.py::test_a_spool_survives_the_kill"
_ROTATION = "tests/integration/cli/test_cli_keys.py::test_a_rotation_that_was_killed_is_finished_by_the_next"
_INIT = (
    "tests/unit/cli/test_cli_init.py"
    "::test_killed_anywhere_and_run_again_it_is_complete_and_keeps_what_it_made"
)

KILLED_BY = dict.fromkeys(PASSED_BY, _RENEWALS) | {
    "account.rolled": f"{_ACCOUNT}[account.rolled]",
    "account.rolling": f"{_ACCOUNT}[account.rolling]",
    "approval.consumed": _APPROVALS,
    "approval.stored": _APPROVALS,
    "certificate.revoked": _REVOKED,
    "crl.writing": f"{_LISTS}[crl.writing]",
    "crl.written": f"{_LISTS}[crl.written]",
    "decode.recorded": _DECODED,
    "log.appended": f"{_LOG}[sqlite-log.appended:1]",
    "log.signed": f"{_LOG}[sqlite-log.signed:1]",
    "payload-key.made": f"{_INIT}[payload-key.made]",
    "request.published": f"{_ORDERS}[manual-request.published]",
    "request.sending": f"{_ORDERS}[vault-pki-request.sending]",
    "request.signed": f"{_ORDERS}[vault-pki-request.signed]",
    "revocation.answered": _REVOKED,
    "revocation.kept": f"{_LISTS}[revocation.kept]",
    "rotation.begun": f"{_ROTATION}[rotation.begun]",
    "secret.stored": f"{_INIT}[secret.stored:1]",
    "settings.rendered": f"{_INIT}[settings.rendered]",
    "settings.stored": f"{_INIT}[settings.stored]",
    "spool.replayed": f"{_SPOOL}[sqlite-spool.replayed]",
    "spool.written": f"{_SPOOL}[sqlite-spool.written]",
}


def test_every_named_point_has_a_test_that_kills_there() -> None:
    named = {point for room in ROOMS for file in (ROOT / room).rglob("*.py") for point in _points(file)}
    assert named == set(KILLED_BY)


def test_each_of_these_tests_exists_names_its_point_and_is_run_by_make_test() -> None:
    for point, node in KILLED_BY.items():
        file, _, case = node.partition("::")
        named = case.partition("[")[2] or (ROOT / file).read_text("utf-8")
        assert point in named, f"{node} does not say that it kills at {point}"
    nodes = sorted(set(KILLED_BY.values()))
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not chaos", *nodes]
    found = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert sorted(line for line in found.stdout.splitlines() if "::" in line) == nodes


def _points(file: Path) -> Iterator[str]:
    """What the file gives to `reached`: a literal, or an argument that its callers in the file give by keyword."""
    calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
    for call in calls:
        if not (isinstance(call.func, ast.Name) and call.func.id == "reached"):
            continue
        given = call.args[0]
        if isinstance(given, ast.Constant):
            yield str(given.value)
            continue
        assert isinstance(given, ast.Name), f"{file}:{call.lineno} names a point that can't be read"
        handed = [word.value for one in calls for word in one.keywords if word.arg == given.id]
        assert handed, f"{file}:{call.lineno} is given its point by nobody"
        assert all(isinstance(value, ast.Constant) for value in handed)
        yield from (str(value.value) for value in handed if isinstance(value, ast.Constant))
