"""The worker is killed at every named point: one certificate, nothing half-switched, and evidence that verifies.

`PASSED_BY` and `ELSEWHERE` together name every point of the code: a new one that is in neither fails a test.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.dev.servers import Token
from tests.acceptance.fleet import Fleet
from tests.acceptance.killing import DESTROYING, Chain, issue_first, kill_all_along

ROOT = Path(__file__).parents[2]
ROOMS = ("activities", "api", "cli", "clients", "rules", "schemas", "store", "workers", "workflows")

# The points of one renewal, dealt to chains so that no step dies more often than its patience allows.
FIRST = (
    *("key.generating", "journal.begun:2", "challenge.published", "order.finalized"),
    *("target.fenced", "target.switched", "key.destroyed"),
)
SECOND = (
    *("key.generated", "order.placed", "challenge.answered", "certificate.downloaded"),
    *("target.drafted", "target.reloaded", "key.destroying"),
)
THIRD = ("key.made", "journal.finished", "order.stored", "target.staged", "intent.logged", "renewal.retired")
UNDONE = (
    *("target.key_made", "undo.begun", "target.restored", "target.restore_reloaded"),
    "renewal.retired",
)
PASSED_BY = {point.partition(":")[0] for point in (*FIRST, *SECOND, *THIRD, *UNDONE)}

ELSEWHERE = {
    "account.rolled": "redoubt certs account-rollover",
    "account.rolling": "redoubt certs account-rollover",
    "approval.consumed": "a renewal that needs approval (test_approvals.py)",
    "approval.stored": "a renewal that needs approval (test_approvals.py)",
    "decode.recorded": "the codec server",
    "certificate.revoked": "a renewal that revokes the previous certificate, and CertificateRevocation",
    "crl.writing": "the local CA's revocation",
    "crl.written": "the local CA's revocation",
    "log.appended": "the sequencer",
    "log.signed": "the sequencer",
    "payload-key.made": "redoubt init, redoubt codec rotate",
    "request.published": "the manual issuer (tests/conformance/test_issuers.py)",
    "request.sending": "Vault PKI (tests/conformance/test_issuers.py)",
    "request.signed": "Vault PKI (tests/conformance/test_issuers.py)",
    "revocation.answered": "a revocation at ACME and Vault PKI",
    "revocation.kept": "the local CA's revocation",
    "rotation.begun": "redoubt codec rotate",
    "secret.stored": "redoubt init",
    "settings.rendered": "redoubt init",
    "settings.stored": "redoubt init",
    "spool.replayed": "the spool, used while the records are away",
    "spool.written": "the spool, used while the records are away",
}
"""Points that no renewal's worker comes by, and who does."""


def test_every_named_point_is_in_one_of_the_tables() -> None:
    named = {point for room in ROOMS for file in (ROOT / room).rglob("*.py") for point in _points(file)}
    assert named == PASSED_BY | set(ELSEWHERE)
    assert not PASSED_BY & set(ELSEWHERE)


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


@pytest.mark.timeout(400)  # 25 workers die, each of them is missed after ten seconds
def test_a_worker_may_be_killed_at_every_point_of_a_renewal_and_of_its_undo(
    fleets: Callable[..., Fleet], softhsm: Token
) -> None:
    forward = [
        Chain(fleets(token=softhsm).build(targets=("web-1", "web-2"), **DESTROYING), points)
        for points in (FIRST, SECOND, THIRD)
    ]
    keys_on_targets = fleets().build(targets=("web-1", "web-2"), target_patience_s=3, verify_timeout_s=2.0)
    back = Chain(keys_on_targets, UNDONE, certificates=2)
    issue_first([chain.fleet for chain in (*forward, back)])
    _break(keys_on_targets, "web-2")
    *renewed, undone = kill_all_along([*forward, back])
    for chain, ended in zip(forward, renewed, strict=True):
        assert ended["state"] == "COMPLETED", (chain.killed, ended)
        assert len(set(chain.fleet.shown().values())) == 1
        assert not set(chain.fleet.shown().values()) & set(chain.shown.values())
        chain.assert_whole(ended, orphans=chain.killed.count("order.placed"))
    assert (undone["state"], undone["error"]["code"]) == ("FAILED", "VerificationFailed")
    # What failed has no outcome: the undo says why.
    back.assert_whole(undone, orphans=0)


def _break(fleet: Fleet, target: str) -> None:
    """Let the web server refuse every new configuration and serve on what it has."""
    configuration = fleet.sites[target].folder / "nginx.conf"
    configuration.write_text("this is no configuration;\n" + configuration.read_text("ascii"), "ascii")
