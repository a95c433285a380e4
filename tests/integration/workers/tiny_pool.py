"""A pool for the tests of the worker process: one workflow with one activity that the test holds and releases.

Run as a program it is `redoubt workers run NAME [workflows|activities]` on the settings of REDOUBT_CONFIG. Where these
name an issuer at Vault it logs in there, and `accessor` tells its token.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    import structlog

from schemas.contract import Contract, WorkflowInput

if TYPE_CHECKING:
    from workers.wiring import Wiring


class HoldInput(WorkflowInput):
    name: str
    example: ClassVar[dict[str, object]] = {"name": "one"}

    @property
    def subject(self) -> str:
        return self.name


class Held(Contract):
    seen: str


@workflow.defn
class Hold:
    @workflow.run
    async def run(self, given: HoldInput) -> Held:
        workflow.logger.info("asks to hold %s", given.name)
        return await workflow.execute_activity_method(
            TinyActivities.hold, given, start_to_close_timeout=timedelta(seconds=60)
        )


class TinyActivities:
    """`NAME.started` appears when the activity runs; it ends when `NAME.release` appears."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @activity.defn
    def hold(self, given: HoldInput) -> Held:
        activity.logger.info("holding %s", given.name)
        structlog.get_logger("tiny").info("ours", name=given.name)
        (self._folder / f"{given.name}.started").touch()
        while not (self._folder / f"{given.name}.release").exists():
            self._wait(given.name)
        return Held(seen=given.name)

    @staticmethod
    def _wait(name: str) -> None:
        try:
            time.sleep(0.02)
        except BaseException:
            # `stubborn` is code that swallows its cancellation, as a C library's call would.
            if not name.startswith("stubborn"):
                raise


def _broken_threads(name: str, most: int) -> ThreadPoolExecutor:
    """A pool whose threads die before they take anything."""

    def die() -> None:
        raise SystemError(name)

    return ThreadPoolExecutor(most, initializer=die if name.endswith("activity") else None)


def _built(folder: Path, wiring: "Wiring") -> TinyActivities:
    for issuer in wiring.settings.issuers.values():
        if issuer.kind == "vault-pki":
            seen = wiring.vault(issuer.vault).ask(lambda client: client.auth.token.lookup_self())
            (folder / "accessor").write_text(seen["data"]["accessor"])
    return TinyActivities(folder)


def main() -> int:
    from clients.settings import load  # noqa: PLC0415 - the workflow sandbox imports this module too
    from workers import building, run  # noqa: PLC0415
    from workers.pools import Pool  # noqa: PLC0415

    module = "tests.integration.workers.tiny_pool"
    name, folder = sys.argv[1], Path(os.environ["TINY_FOLDER"])
    pool = Pool(
        name,
        "Holds until it is told.",
        workflows=(f"{module}:Hold",),
        activities=((f"{module}:TinyActivities", lambda _kind, wiring: _built(folder, wiring)),),
        key_stores=lambda settings: [name for name in settings.key_stores if name == "hsm"],
    )
    if "broken" in sys.argv:
        building._threads = _broken_threads
    run._MARGIN_S = 1.0  # type: ignore[misc]  # else the test of a stubborn activity takes ten seconds
    only = next((word for word in sys.argv[2:] if word in {"workflows", "activities"}), None)
    return run.main(load(), [name], only, {name: pool})  # type: ignore[arg-type]  # one of the two words


if __name__ == "__main__":
    from cli.main import leave

    leave(main())
