"""What was proved, as the demo's last page says it: a row a claim, each checked by looking at the world."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Literal

from cli.output import ExitCode, Format, clean, put, say, table

Verdict = Literal["PROVED", "FAILED", "SKIPPED"]


class Unproved(Exception):  # noqa: N818 - not an error of ours: what was claimed was not seen
    """What was seen instead of what was claimed."""


@dataclass
class Proof:
    claim: str
    verdict: Verdict
    seen: str
    seconds: float
    link: str = ""


@dataclass(frozen=True)
class Claim:
    title: str
    show: Callable[[Proof], None]
    """Looks at the world; says what it has seen, or raises."""
    needs: tuple[str, ...] = ()
    """The tools without which it can't be shown."""


def _all_there(_tool: str) -> str:
    return ""


@dataclass
class Proofs:
    lacking: Callable[[str], str] = _all_there
    """What won't work without this tool, where it can't be had; else nothing. It may take a while to know."""
    rows: list[Proof] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    interrupted: bool = False
    """Somebody wants it to end: no further claim begins."""

    @contextmanager
    def claim(self, claim: str) -> Iterator[Proof]:
        """One claim; the block says what it has seen, or raises. The demo goes on after a claim that failed."""
        if self.interrupted:
            raise KeyboardInterrupt
        say(f"[{time.monotonic() - self.began:5.0f} s] {claim} …")
        proof, began = Proof(claim, "FAILED", "", 0.0), time.monotonic()
        self.rows.append(proof)
        try:
            yield proof
            proof.verdict = "PROVED"
        except Exception as error:  # noqa: BLE001 - whatever it was, it goes into the table
            proof.seen = clean(error) or type(error).__name__
        proof.seconds = time.monotonic() - began
        say(f"          {proof.verdict}: {proof.seen} ({proof.seconds:.1f} s)")

    def play(self, claims: Iterable[Claim]) -> None:
        """One after the other; SKIPPED is what needs a tool that can't be had, and nothing else."""
        for claim in claims:
            # Where one is missing, the others are not got for nothing.
            gone = next(
                (f"{tool} can't be had: {why}" for tool in claim.needs if (why := self.lacking(tool))), ""
            )
            if gone:
                self.skip(claim.title, gone)
                continue
            with self.claim(claim.title) as proof:
                claim.show(proof)

    def skip(self, claim: str, why: str) -> None:
        self.rows.append(Proof(claim, "SKIPPED", why, 0.0))
        say(f"          SKIPPED: {claim}: {why}")

    @property
    def exit_code(self) -> ExitCode:
        verdicts = {row.verdict for row in self.rows}
        if "FAILED" in verdicts or not self.rows:
            return ExitCode.FAILED
        return ExitCode.SKIPPED if "SKIPPED" in verdicts else ExitCode.OK


def show(rows: Sequence[Proof], output: Format) -> None:
    """One line a claim, at most 100 columns wide; then what was seen for each, and where to look."""
    if output is not Format.TEXT:
        table([asdict(row) for row in rows], (), output)
        return
    say("")
    numbered = [
        {"no": number, "verdict": row.verdict, "seconds": f"{row.seconds:.1f}", "claim": row.claim}
        for number, row in enumerate(rows, start=1)
    ]
    table(numbered, ("no", "verdict", "seconds", "claim"), output)
    put("\nWhat was seen, and where to look:")
    for number, row in enumerate(rows, start=1):
        put(f"{number:>2}  {row.seen}")
        if row.link:
            put(f"    {row.link}")


def expect(holds: object, seen: str) -> None:
    """Raise unless it holds; `seen` says what was there instead."""
    if not holds:
        raise Unproved(seen)


def wait_for(condition: Callable[[], object], within_s: float, what: str) -> None:
    """Wait until the world is so; raises `Unproved` when it is not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        expect(time.monotonic() < deadline, f"within {within_s:.0f} s there was no sign of: {what}")
        time.sleep(0.1)
