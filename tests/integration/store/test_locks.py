"""SQLite's locks are the process's: nothing of ours may drop them while connections use the file."""

import subprocess
import sys
from pathlib import Path

from sqlalchemy import text

from store.sql.engine import connect, writing

ANOTHER = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1])
other.execute("SELECT count(*) FROM seen").fetchone()
other.close()
"""


def test_a_process_that_leaves_takes_no_records_with_it(tmp_path: Path) -> None:
    """Two connections here, then another process opens and leaves: what was and is written stays."""
    file = tmp_path / "records.sqlite"
    engine = connect(f"sqlite:///{file}")
    with writing(engine) as first:
        first.execute(text("CREATE TABLE seen (number INTEGER)"))
    with engine.connect(), engine.connect():
        subprocess.run([sys.executable, "-c", ANOTHER, str(file)], check=True, timeout=60)
        assert Path(f"{file}-wal").exists()
        with writing(engine) as later:
            later.execute(text("INSERT INTO seen VALUES (1)"))
    looked = connect(f"sqlite:///{file}")
    with looked.connect() as fresh:
        assert fresh.execute(text("SELECT count(*) FROM seen")).scalar_one() == 1
    looked.dispose()
    engine.dispose()
