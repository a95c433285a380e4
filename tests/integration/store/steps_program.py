"""What a worker does with the journal, for tests that kill it: `steps_program.py URL FOLDER STEPS`.

Each step's effect is a line in a file, made once whatever happens: it looks before it acts, as an activity does.
"""

import os
import sys
from pathlib import Path

from schemas.evidence import Event
from store.spool import Spool, replay_spool
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.log import SqlLog

SEED = b"\x05" * 32


def main(url: str, folder: Path, steps: int) -> None:
    engine = connect(url)
    journal = SqlJournal(engine, Spool(folder / "spool", b"k" * 32), "certificates")
    log = SqlLog(engine, "redoubt.invalid/log", SEED)
    if "SPOOL_ONLY" not in os.environ and (folder / "spool" / "lines").exists():
        replay_spool(journal)
    operation = opened(journal, folder)
    if "OPEN_ONLY" in os.environ:
        return
    if (folder / "undo").exists():
        undo(journal, operation)
    else:
        forward(journal, operation, folder / "effects", steps)
    if "SPOOL_ONLY" in os.environ:
        return
    journal.close(operation, "done", {})
    while log.sequence(3):
        pass


def opened(journal: SqlJournal, folder: Path) -> str:
    """The one operation of this test, also once it is closed."""
    known = folder / "operation"
    if not known.exists():
        made = journal.open(
            kind="K", subject="www", workflow_id="w", run="r", who="a", correlation_id="", state={}
        )
        known.write_text(made.operation)
    return known.read_text()


def forward(journal: SqlJournal, operation: str, effects: Path, steps: int) -> None:
    if journal.operation(operation).closed is not None:
        return
    effects.touch()
    for number in range(steps):
        step = f"step/{number}"
        if journal.begin(operation, step, Event.KEY_GENERATED, {}).result is not None:
            continue
        if step not in effects.read_text().splitlines():
            with effects.open("a") as file:
                file.write(f"{step}\n")
        journal.finish(operation, step, Event.KEY_GENERATED, {}, {"n": number})


def undo(journal: SqlJournal, operation: str) -> None:
    journal.undo(operation, "the check failed")
    journal.begin(operation, "undo/a", Event.CERTIFICATE_RESTORED, {})
    journal.finish(operation, "undo/a", Event.CERTIFICATE_RESTORED, {}, {})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
