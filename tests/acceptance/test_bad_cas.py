"""CAs on bad days: what can be waited for is waited for, what can't fails with what to do, and nothing is switched."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.demo.oracle import CaCounts
from cli.dev.process import free_port
from cli.dev.servers import Pebble, PebblePorts, pebble
from clients.challenges.http01 import WebrootSolver
from clients.issuers.acme import AcmeIssuer
from clients.secrets.files import store_file
from schemas.settings import issuers
from tests.acceptance.cases import Cases, assert_told, ended
from tests.acceptance.fleet import NAME, Fleet
from tests.acceptance.misissuing import Misissuing, Swap
from tests.acceptance.telling import assert_no_insides
from tests.servers.orders import LOOPBACK, Beats, account_key, request
from tests.servers.starters import serve_webroot

FAILING = {
    "stranger": ("AccountRefused", "acme refuses the account"),
    "away": ("CaUnavailable", "away could not be reached"),
    "void": ("OrderInvalid", "void could not validate www.example.com"),
    "unwritable": ("DependencyUnavailable", "www.example.com can't be written below its `webroot`"),
    "unbound": ("AccountRefused", "unbound refuses the account"),
    "other-key": (
        "CertificateRejected",
        "What other-key issued for other-key is wrong: it is for another key.",
    ),
    "old": ("CertificateRejected", "it is the old certificate"),
    "garbage": ("CertificateRejected", "The chain"),
}
SWAPPED = ("other-key", "old", "garbage")


@pytest.fixture
def another_ca(tmp_path: Path) -> Iterator[Callable[..., Pebble]]:
    """Configured, and started by the test: it refuses every second nonce."""
    made: list[Pebble] = []

    def configure(name: str, *, eab: bool = False) -> Pebble:
        env = {"PEBBLE_WFE_NONCEREJECT": "50"}
        made.append(pebble(tmp_path / name, PebblePorts(http_01=free_port()), env=env, eab=eab))
        return made[-1]

    yield configure
    for ca in made:
        ca.stop()


@pytest.fixture
def misissuing() -> Iterator[Callable[[Any, Swap], Misissuing]]:
    made: list[Misissuing] = []

    def make(ca: Any, swap: Swap) -> Misissuing:
        made.append(Misissuing(ca, swap))
        return made[-1]

    yield make
    for one in made:
        one.stop()


async def test_a_ca_that_fails_changes_nothing(
    fleet: Fleet,
    tmp_path: Path,
    another_ca: Callable[..., Pebble],
    misissuing: Callable[[Any, Swap], Misissuing],
) -> None:
    cases = Cases(fleet)
    cases.build({case: {} for case in (*FAILING, "back", "fallback")}, targets="a")
    first = fleet.worker(name="first")
    before = await cases.issue_first()
    first.stop()

    acme, challenges = fleet.document["issuers"]["acme"], fleet.document["challenges"]
    late, bound = another_ca("late"), another_ca("bound", eab=True)
    nobody = f"https://127.0.0.1:{free_port()}/dir"
    another_key = _issued_to_another_key(fleet)
    swaps: dict[str, Swap] = {
        "other-key": lambda _chain: another_key,
        "old": lambda _chain: (cases.folder("old-a") / "current/fullchain.pem").read_bytes(),
        "garbage": lambda _chain: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }
    issuers = {
        "away": {"directory": nobody},
        "void": {"challenge": "void"},
        "unwritable": {"challenge": "unwritable"},
        "unbound": {"directory": bound.directory, "ca_file": str(bound.ca_file)},
        "back": {
            "directory": late.directory,
            "ca_file": str(late.ca_file),
            "trust_file": str(late.trust_file),
            "challenge": "late",
        },
        **{name: {"directory": misissuing(fleet.ca, swaps[name]).directory} for name in SWAPPED},
    }
    (tmp_path / "nowhere").mkdir()
    challenges["void"] = {"kind": "http-01", "webroot": str(tmp_path / "nowhere")}
    (tmp_path / "file").touch()
    challenges["unwritable"] = {"kind": "http-01", "webroot": str(tmp_path / "file")}
    challenges["late"] = {"kind": "http-01", "webroot": str(late.webroot)}
    for name, special in issuers.items():
        fleet.document["issuers"][name] = {**acme, "poll_timeout_s": 20.0, **special}
        cases.certificate(name).update(
            {"issuers": [name], "issuer_patience_s": 60.0 if name == "back" else 1.0}
        )
    cases.certificate("fallback").update({"issuers": ["away", "local"], "issuer_patience_s": 1.0})
    fleet.write()

    # In the middle of an order the account's key is exchanged.
    doomed = fleet.worker(crash_at="order.stored", name="doomed")
    started = {"stranger": await cases.start("stranger")}
    doomed.wait_until(fleet.marker.exists, 60, "at the stored order")
    doomed.kill()
    key_file = fleet.folder / "secrets/acme-account-key"
    key_file.unlink()
    store_file(key_file, account_key())
    bound.start()
    fleet.worker()
    started |= {case: await cases.start(case) for case in before if case != "stranger"}
    assert "back could not be reached" in await cases.tried_again("back")
    web = serve_webroot(late.webroot, late.http_port)
    late.start()
    ends = dict(zip(started, await asyncio.gather(*map(ended, started.values())), strict=True))
    web.shutdown()
    web.server_close()

    await assert_no_insides(cases)
    for case, told in FAILING.items():
        assert_told(ends[case], *told)
        assert cases.shown(case) == before[case], case
    assert not ends["back"].code, ends["back"]
    assert all(cases.shown("back", late.trust_file))
    assert CaCounts.read(late.log) == CaCounts(1, 1, 1)
    assert CaCounts.read(bound.log) == CaCounts(0, 0, 0)
    result = ends["fallback"].result
    assert result is not None, ends["fallback"]
    assert result.issuer == "local"
    assert cases.shown("fallback") == [""], "the old root still verifies it"
    assert cases.shown("fallback", _local_root(fleet)) == list(result.fingerprints.values())


def _issued_to_another_key(fleet: Fleet) -> bytes:
    """A good certificate for our names, whose key the test holds."""
    given = issuers.AcmeIssuer.model_validate(fleet.document["issuers"]["acme"])
    solver, names = WebrootSolver(fleet.ca.webroot), (NAME,)
    issuer = AcmeIssuer("ca", given, account_key(), solver, allow=LOOPBACK)
    url = issuer.place_order(names).url
    issuer.prove_control(url, Beats())
    issuer.finalize(url, request(names), Beats())
    return issuer.certificate(url)


def _local_root(fleet: Fleet) -> Path:
    return fleet.folder / "ca/root.pem"
