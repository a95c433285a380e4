"""Many certificates in one fleet, each with targets of its own, so that bad days go side by side.

Each target's reload command first reads a hook, if the test has put one there: a few lines of shell that let it fail,
hang, do nothing, or wait for the test. Runs are started and asked by a Temporal client with our plugin.
"""

import asyncio
import stat
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError

from cli.demo.oracle import served
from cli.histories import decoded
from clients.settings import load
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import (
    CertificateRenewalInput,
    CertificateRenewalResult,
    CertificateSweepInput,
    CertificateSweepResult,
)
from schemas.errors import CATALOGUE
from schemas.settings import Settings
from tests.acceptance.fleet import NAME, Fleet, wait_until
from workers.wiring import Wiring

FAIL_ONCE = 'rm "$1"; exit 1'
HANG_ONCE = 'rm "$1"; exec sleep 600'
IDLE = "exit 0"
HOLD = 'touch "$1.held"; while [ -e "$1" ]; do sleep 0.05; done'

ONE_ATTEMPT: dict[str, Any] = {"target_patience_s": 0.5}
"""Settings of a case whose target fails once and would do well if it were asked again."""

_RELOAD = 'if [ -e "$1" ]; then . "$1"; fi; shift; exec "$@"'


@dataclass(frozen=True)
class End:
    """How a run ended: "" or the code of its error, what it says, and its result."""

    code: str
    words: str
    result: CertificateRenewalResult | None = None


@dataclass
class Cases:
    fleet: Fleet
    names: list[str] = field(default_factory=list)

    def build(self, cases: dict[str, dict[str, Any]], *, targets: str = "ab") -> None:
        """`cases`: a certificate's name to its settings beyond the usual; each gets targets NAME-a, NAME-b."""
        self.names = list(cases)
        sites = [f"{case}-{letter}" for case in cases for letter in targets]
        self.fleet.build(sites, waves=[1], target_patience_s=60.0)
        usual = self.fleet.document["certificates"].pop("www")
        for case, special in cases.items():
            own = [one for one in usual["targets"] if one["name"].rpartition("-")[0] == case]
            for target in own:
                hook = str(self.hook(target["name"]))
                target["reload"] = ["sh", "-c", _RELOAD, "sh", hook, *target["reload"]]
                target["reload_timeout_s"] = special.get("reload_timeout_s", 30.0)
            settings = {name: value for name, value in special.items() if name != "reload_timeout_s"}
            self.fleet.document["certificates"][case] = deepcopy({**usual, "targets": own, **settings})
        self.fleet.write()

    def certificate(self, case: str) -> dict[str, Any]:
        settings: dict[str, Any] = self.fleet.document["certificates"][case]
        return settings

    def settings(self) -> Settings:
        return load(self.fleet.folder / "redoubt.yaml")

    # --- the targets ----------------------------------------------------------------------------------

    def hook(self, target: str) -> Path:
        return self.fleet.folder / f"hook-{target}"

    def on_reload(self, target: str, shell: str) -> None:
        """Let the target's next reload do this first."""
        self.hook(target).write_text(shell)

    def wait_until_held(self, target: str) -> None:
        wait_until(Path(f"{self.hook(target)}.held").exists, 60, f"the reload of {target}")

    def let_go(self, target: str) -> None:
        Path(f"{self.hook(target)}.held").unlink(missing_ok=True)
        self.hook(target).unlink(missing_ok=True)

    def folder(self, target: str) -> Path:
        return self.fleet.sites[target].target

    def shown(self, case: str, roots: Path | None = None) -> list[str]:
        """What its targets show in handshakes that verify; "" for one that turns visitors away."""
        return [self._shown(name, roots) for name in self.fleet.sites if name.rpartition("-")[0] == case]

    def _shown(self, target: str, roots: Path | None) -> str:
        try:
            return served(self.fleet.sites[target].port, NAME, roots or self.fleet.ca.trust_file)
        except OSError:
            return ""

    # --- the runs -------------------------------------------------------------------------------------

    async def client(self) -> Client:
        return await Wiring(self.settings()).client("certificates")

    async def start(self, case: str, *, workflow_id: str = "") -> WorkflowHandle[Any, Any]:
        return await (await self.client()).start_workflow(
            "CertificateRenewal",
            CertificateRenewalInput(certificate=case, force=True),
            id=workflow_id or f"certificate-renewal/{case}",
            task_queue="certificates",
            result_type=CertificateRenewalResult,
        )

    async def renew(self, cases: Iterable[str]) -> dict[str, End]:
        """All at once, to their ends."""
        started = {case: await self.start(case) for case in cases}
        ends = await asyncio.gather(*(ended(handle) for handle in started.values()))
        return dict(zip(started, ends, strict=True))

    async def tried_again(self, case: str, saying: str = "") -> str:
        """Wait until a step of the run has failed, `saying` so, and waits for its next attempt; what it said."""
        handle = (await self.client()).get_workflow_handle(f"certificate-renewal/{case}")
        deadline = asyncio.get_running_loop().time() + 60
        while True:
            described = await handle.describe()
            for step in described.raw_description.pending_activities:
                if step.attempt > 1 and step.HasField("last_failure"):
                    failure = await described.data_converter.decode_failure(step.last_failure)
                    if saying in str(failure):
                        return str(failure)
            assert asyncio.get_running_loop().time() < deadline, f"no step of {case} was tried again {saying}"
            await asyncio.sleep(0.05)

    async def issue_first(self, cases: Iterable[str] | None = None) -> dict[str, list[str]]:
        """Give every target a certificate, so that there is something to lose; what each shows."""
        ends = await self.renew(self.names if cases is None else cases)
        assert not {case: end for case, end in ends.items() if end.code}
        return {case: self.shown(case) for case in ends}


async def ended(handle: WorkflowHandle[Any, Any]) -> End:
    deadline = asyncio.get_running_loop().time() + 150
    while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
        assert asyncio.get_running_loop().time() < deadline, f"{handle.id} does not end"
        await asyncio.sleep(0.05)
    try:
        return End("", "", await handle.result())
    except WorkflowFailureError as failed:
        cause = failed.cause
        if isinstance(cause, CancelledError | TerminatedError):
            return End(type(cause).__name__, str(cause))
        assert isinstance(cause, ApplicationError), cause
        return End(str(cause.type), cause.message)


async def swept(client: Client, **given: Any) -> CertificateSweepResult:
    """Sweep once, to its end; `given` is the input."""
    kind, sweep = WORKFLOW_TYPES["CertificateSweep"], CertificateSweepInput(**given)
    result: CertificateSweepResult = await client.execute_workflow(
        kind.name,
        sweep,
        id=kind.workflow_id(sweep),
        task_queue=kind.capability,
        result_type=CertificateSweepResult,
    )
    return result


def assert_told(end: End, code: str, *words: str) -> None:
    """The error is of the catalogue, says what happened and what to do, and nothing of our insides."""
    assert end.code == code, end
    for word in (*words, CATALOGUE[code].what_to_do):
        assert word in end.words, end
    for inside in ("Traceback", 'File "', ".py", "SELECT", "INSERT", "sqlite", "site-packages"):
        assert inside not in end.words, end


async def assert_no_secret(cases: Cases, *extra: str) -> None:
    """Neither histories, decoded, nor logs nor records hold what any secret file of the installation holds."""
    planted = {text for file in _secret_files(cases) for text in _pieces(file.read_text("utf-8"))} | {*extra}
    assert len(planted) > 3
    seen = {file: file.read_bytes() for file in cases.fleet.folder.glob("*.log")}
    seen |= {file: file.read_bytes() for file in cases.fleet.folder.glob("redoubt.sqlite*")}
    codec, client = Wiring(cases.settings()).codec(), await cases.client()
    async for run in client.list_workflows():
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        plain = await decoded(history, codec)
        seen[Path(run.run_id)] = b"".join(event.SerializeToString() for event in plain.events)
    assert len(seen) > 3
    found = {
        str(where): text for where, all_of in seen.items() for text in planted if text.encode() in all_of
    }
    assert not found


def _secret_files(cases: Cases) -> list[Path]:
    fleet = cases.fleet
    keys = [key for site in fleet.sites.values() for key in site.target.glob("keys/*.pem")]
    pins = [fleet.token.pin_file] if fleet.token else []
    files = [file for file in (fleet.folder / "secrets").iterdir() if file.is_file()]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in (*files, *keys))
    return [*files, *keys, *pins]


def _pieces(text: str) -> list[str]:
    """What must be found nowhere; of a private key its first line, since the last ones hold the public key."""
    lines = [line for line in text.split() if len(line) > 12 and not line.startswith("-----")]
    return lines[:1]
