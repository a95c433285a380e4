"""`redoubt audit`: verify the evidence log, read it, and print the key that others verify it with."""

from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from cli.output import ExitCode, Format, Output, document, lines, put, record, say, table
from cli.progress import Steps, steps
from clients.secrets.resolver import Secrets
from clients.settings import load
from rules.checkpoints import NoteError, parse_verifier_key, verifier_key
from schemas.errors import InvalidInput
from schemas.settings import Settings
from store.signing import LogKey, seed_from
from store.spool import spooled_lines
from store.sql.audit import Verification, entries, newest_checkpoint, verify
from store.sql.engine import connect
from store.sql.migrations import check_version

MAX_FILE_BYTES = 64 * 1024
_COLUMNS = ("index", "at", "kind", "what", "step", "operation")
"""For people, in 120 columns; the subject and who it was are in `-o json`."""

app = typer.Typer(no_args_is_help=True, help="Verify the evidence log, and read it.")


@app.command("verify")
def verify_log(
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key",
            help="The log's key as NAME+ID+KEY, or a file that holds it; else it is derived from evidence.log_key.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="A checkpoint that you kept: the log must still begin with it."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Recompute the log from its rows; exit code 0 only if everything verifies, 4 if something does not."""
    settings, engine = _open()
    check_version(engine)
    origin, key = _key(settings, public_key)
    kept = None if checkpoint is None else _text(checkpoint)
    with steps() as told:
        found = verify(engine, origin, key, kept=kept, progress=_progress(told))
    spooled = spooled_lines(Path(settings.evidence.spool))
    if output is Format.TEXT:
        _tell(found, spooled)
    else:
        record({**found.model_dump(mode="json"), "spooled": spooled}, output)
    if not found.verified:
        raise typer.Exit(ExitCode.VERIFICATION)


@app.command("log")
def show_log(
    operation: Annotated[str | None, typer.Option("--operation", help="Only this operation's.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Only what this subject was in.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 100,
    output: Output = Format.TEXT,
) -> None:
    """Print the newest entries, oldest first; INDEX is empty while one waits for the sequencer."""
    _, engine = _open()
    rows = entries(engine, operation=operation, subject=subject, limit=limit)
    if output is Format.JSON:
        document(rows)
    elif output is Format.JSONL:
        lines(rows)
    else:
        shown = [{**row, "at": row["at"][:19].replace("T", " ")} for row in rows]
        table(shown, _COLUMNS, output, empty="There is no such evidence.")


@app.command("key")
def show_key() -> None:
    """Print the log's public key, for `--public-key` and for other verifiers of C2SP checkpoints."""
    settings, _ = _open()
    put(verifier_key(*_key(settings, None)))


@app.command("checkpoint")
def show_checkpoint() -> None:
    """Print the newest checkpoint: keep it elsewhere, and give it to `audit verify --checkpoint` later."""
    _, engine = _open()
    note = newest_checkpoint(engine)
    if note is None:
        say("There is no checkpoint yet: the sequencer has not run.")
        raise typer.Exit(ExitCode.FAILED)
    typer.echo(note, nl=False)


def _open() -> tuple[Settings, Engine]:

    settings = load()
    password = settings.store.password
    return settings, connect(settings.store.url, None if password is None else Secrets().resolve(password))


def _key(settings: Settings, given: str | None) -> tuple[str, bytes]:
    """The log's name and public key: what was given from outside, or else what the settings lead to."""
    if given is None:
        seed = seed_from(Secrets().resolve(settings.evidence.log_key))
        return settings.evidence.origin, LogKey(seed).public
    try:
        return parse_verifier_key(given if "+" in given else _text(Path(given)))
    except NoteError as wrong:
        raise InvalidInput(f"--public-key: {wrong}; `redoubt audit key` prints it.") from None


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"{file} can't be read as text.") from None


def _progress(told: Steps) -> Any:
    def progress(done: int, total: int) -> None:
        if done % 1000 == 0:
            told.doing("audit", f"{done} of {total} rows")

    return progress


def _tell(found: Verification, spooled: int) -> None:
    record(
        {
            "log": found.origin,
            "rows": found.size,
            "checkpoints": found.checkpoints,
            "root": found.root,
            "waiting for the sequencer": found.waiting,
            "waiting in the spool": spooled,
            "steps without an outcome": found.open_steps_count,
        },
        Format.TEXT,
    )
    for step in found.open_steps:
        put(f"  open: {step.step} of {step.subject} (operation {step.operation})")
    for finding in found.findings:
        put(f"  BROKEN: {finding}")
    if found.findings_count > len(found.findings):
        put(f"  BROKEN: and {found.findings_count - len(found.findings)} more")
    if found.verified:
        put("VERIFIED: every row, every checkpoint.")
    else:
        put(f"NOT VERIFIED: {found.findings_count} findings. Keep the database as it is.")
