"""The records' bad days: without them nothing begins, but what was begun is put back, and recorded later."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing

from cli.demo.oracle import CaCounts
from tests.acceptance.cases import ONE_ATTEMPT, Cases, assert_told, ended
from tests.acceptance.fleet import Fleet, wait_until
from tests.acceptance.telling import assert_no_insides

TAKE_AWAY = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('ALTER TABLE evidence RENAME TO gone')"


async def test_without_records_nothing_begins_and_undoing_goes_on(fleets: Callable[..., Fleet]) -> None:
    fleet = fleets()
    cases = Cases(fleet)
    cases.build({"beginning": {}, "undoing": {**ONE_ATTEMPT, "undo_patience_s": 60.0}})
    fleet.worker(pools=("certificates", "audit"))
    records = fleet.folder / "redoubt.sqlite"
    before = await cases.issue_first()
    counted = fleet.counts()

    with closing(sqlite3.connect(records, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        beginning = await cases.start("beginning")
        assert "store of records can't be used now" in await cases.tried_again("beginning")
        assert fleet.counts() == counted
        assert cases.shown("beginning") == before["beginning"]
        other.execute("ROLLBACK")
    assert not (await ended(beginning)).code
    assert fleet.counts() - counted == CaCounts(2, 2, 2)

    # The second target's reload takes the records away and fails: the way back begins without them.
    cases.on_reload("undoing-b", f'rm "$1"; "{sys.executable}" -c "{TAKE_AWAY}" "{records}"; exit 1')
    undoing = await cases.start("undoing")
    wait_until(lambda: _is_away(records), 60, "the records to go away")
    wait_until(lambda: cases.shown("undoing") == before["undoing"], 60, "both targets as they were")
    assert "store of records" in await cases.tried_again("undoing")
    assert _is_away(records)
    with closing(sqlite3.connect(records, timeout=20)) as other:
        other.execute("ALTER TABLE gone RENAME TO evidence")
    assert_told(await ended(undoing), "ReloadFailed", "undoing-b: its reload command failed")
    assert cases.shown("undoing") == before["undoing"]
    await assert_no_insides(cases)
    wait_until(lambda: _verified(fleet), 30, "evidence that verifies and holds what was spooled")


def _is_away(records: object) -> bool:
    with closing(sqlite3.connect(f"file:{records}?mode=ro", uri=True)) as looking:
        found = looking.execute("SELECT name FROM sqlite_master WHERE name = 'gone'").fetchall()
    return len(found) == 1


def _verified(fleet: Fleet) -> bool:
    said = fleet.redoubt("audit", "verify", "-o", "json")
    assert said.code == 0, said.err
    with closing(sqlite3.connect(fleet.folder / "redoubt.sqlite")) as looking:
        spooled = looking.execute(
            "SELECT count(*) FROM evidence WHERE CAST(entry AS TEXT) LIKE '%spooled%'"
        ).fetchone()[0]
    return bool(said.json["waiting"] == 0 and spooled >= 3)
