"""SIGKILL at every named point of a target that is not on this host, then the same attempt again."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from clients.targets import Target
from schemas.errors import Fenced
from tests.conftest import VaultServer
from tests.integration.targets.attempt import answer, started, stopped_at
from tests.integration.targets.elsewhere import in_kubernetes, in_vault, with_program_over_ssh
from tests.integration.targets.material import NAME, TestCa, going, ordered, renew, served, undoing
from tests.servers.kubernetes import Kubernetes


@dataclass
class Elsewhere:
    target: Target
    where: str
    """How an attempt in another process reaches the same target."""
    ca: TestCa


def _over_ssh(folder: Path, request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    login = request.getfixturevalue("sshd").login()
    target = with_program_over_ssh(folder, login)
    yield Elsewhere(target, json.dumps({"login": login.model_dump()}), TestCa())
    target.close()


def _in_vault(_folder: Path, request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    server: VaultServer = request.getfixturevalue("vault")
    path, token = f"targets/{secrets.token_hex(8)}", f"file:{server.token_file}"
    where = json.dumps({"vault": server.address, "token": token, "path": path})
    yield Elsewhere(in_vault(server.address, token, path), where, TestCa())


def _in_kubernetes(folder: Path, _request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    api = Kubernetes(folder)
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(api.token)
    given = {"kubernetes": api.address, "ca_file": str(api.ca_file), "token": f"file:{folder / 'token'}"}
    target = in_kubernetes(given["kubernetes"], given["ca_file"], given["token"])
    yield Elsewhere(target, json.dumps(given), TestCa())
    api.stop()


MADE: dict[str, Callable[[Path, pytest.FixtureRequest], Iterator[Elsewhere]]] = {
    "ssh": _over_ssh,
    "vault": _in_vault,
    "kubernetes": _in_kubernetes,
}


@pytest.fixture
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Elsewhere]:
    yield from MADE[request.param](tmp_path, request)


def at(*points: str) -> pytest.MarkDecorator:
    """Each point where it exists: on a host it is the host that looks at the fence, so there is none between."""
    pairs = [
        pytest.param(kind, point, id=f"{kind}-{point}")
        for point in points
        for kind in MADE
        if (kind == "ssh") <= (point != "target.fenced")
        and (kind != "ssh") <= (point not in {"target.drafted", "target.reloaded", "target.restore_reloaded"})
    ]
    return pytest.mark.parametrize(("there", "point"), pairs, indirect=["there"])


@at("target.key_made")
def test_killed_while_it_makes_a_key(there: Elsewhere, tmp_path: Path, point: str) -> None:
    with stopped_at(tmp_path, point, do="make_key", key_id="ab", where=there.where):
        made = x509.load_der_x509_csr(there.target.make_key("ab", "EC-P256", (NAME,))).public_key()
    again = x509.load_der_x509_csr(there.target.make_key("ab", "EC-P256", (NAME,))).public_key()
    assert again == made


@at("target.fenced", "target.drafted", "target.staged")
def test_killed_while_it_stages(there: Elsewhere, tmp_path: Path, point: str) -> None:
    bundle = ordered(there.target, there.ca, "ab")
    with stopped_at(tmp_path, point, do="stage", bundle=bundle.model_dump_json(), where=there.where):
        complete = there.target.read(bundle.version) is not None
        assert complete == (point == "target.staged")
        assert there.target.current() is None
    there.target.stage(bundle, going(1))
    assert there.target.read(bundle.version) == bundle.fullchain
    there.target.switch(bundle.version, going(1))
    assert there.target.drift(bundle.version) is None


@at("target.fenced", "target.switched", "target.reloaded")
def test_killed_while_it_switches(there: Elsewhere, tmp_path: Path, point: str) -> None:
    first, second = renew(there.target, there.ca, 1), renew(there.target, there.ca, 2)
    there.target.switch(first, going(2))
    attempt = {"do": "switch", "version": second, "operation": "operation-0003", "where": there.where}
    with stopped_at(tmp_path, point, **attempt):
        assert there.target.current() == (first if point == "target.fenced" else second)
    there.target.switch(second, going(3))
    assert there.target.drift(second) is None
    assert served(tmp_path)[-1:] in ([second], [])


@at("target.fenced", "target.restored", "target.restore_reloaded")
def test_killed_while_it_undoes(there: Elsewhere, tmp_path: Path, point: str) -> None:
    first, second = renew(there.target, there.ca, 1), renew(there.target, there.ca, 2)
    there.target.switch(first, going(2))
    there.target.switch(second, going(2))
    attempt = {"do": "switch_back", "version": first, "operation": "operation-0002", "epoch": "2"}
    with stopped_at(tmp_path, point, **attempt, where=there.where):
        assert there.target.current() == (second if point == "target.fenced" else first)
    with pytest.raises(Fenced):
        there.target.switch(second, going(2))
    there.target.switch_back(first, undoing(2))
    assert there.target.drift(first) is None
    assert served(tmp_path)[-1:] in ([first], [])


@pytest.mark.parametrize("there", list(MADE), indirect=True)
def test_attempts_at_once_come_one_after_the_other(there: Elsewhere, tmp_path: Path) -> None:
    versions = {number: renew(there.target, there.ca, number) for number in (1, 2)}
    attempts = {
        number: started(
            tmp_path,
            {
                "do": "switch",
                "version": version,
                "operation": f"operation-{number + 2:04}",
                "where": there.where,
            },
        )
        for number, version in versions.items()
    }
    outcomes = {number: answer(process)["error"] for number, process in attempts.items()}
    assert outcomes[1] in {None, "Fenced"}
    assert outcomes[2] is None
    assert there.target.current() == versions[2]
    assert there.target.drift(versions[2]) is None
