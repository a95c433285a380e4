"""How long `redoubt --help` takes, over a bare Typer program with the same commands: in turn, each in a new process."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks import samples
from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.samples import Samples
from cli.main import COMMANDS

ROUNDS: Final = 20
_PEAK: Final = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
_PROGRAM: Final = "from bare import app\n\napp()\n"


def _bare_program(folder: Path) -> list[str]:
    """As an installed command is: a small script that imports its app, which Python keeps compiled."""
    lines = ["import typer", "", 'app = typer.Typer(help="A bare program.", no_args_is_help=True)', ""]
    for number, (name, (_, line)) in enumerate(COMMANDS.items()):
        lines += [
            "",
            f"@app.command({name!r}, help={line!r})",
            f"def command_{number}() -> None:",
            "    return",
            "",
        ]
    (folder / "bare.py").write_text("\n".join(lines), encoding="utf-8")
    (folder / "program.py").write_text(_PROGRAM, encoding="utf-8")
    return [sys.executable, str(folder / "program.py"), "--help"]


def _ours() -> list[str]:
    installed = Path(sys.executable).parent / "redoubt"
    return [str(installed), "--help"] if installed.exists() else [sys.executable, "-m", "cli.main", "--help"]


class _Timed:
    def __init__(self, argv: list[str], shows: str) -> None:
        self._argv = argv
        self._shows = shows
        self.samples = Samples()

    def run(self) -> None:
        """One process, from its start to its end; it must have printed the last command's name."""
        began = time.perf_counter()
        ended = subprocess.run(self._argv, capture_output=True, timeout=60, check=False)
        took = time.perf_counter() - began
        self.samples.elapsed += took
        if ended.returncode == 0 and self._shows.encode() in ended.stdout:
            self.samples.seconds.append(took)
        else:
            self.samples.errors += 1

    def peak_mib(self) -> float:
        """Of one more run. Its parent is a small process: the kernel counts a parent's memory as its child's peak."""
        argv = [sys.executable, "-c", _PEAK, *self._argv]
        ended = subprocess.run(argv, capture_output=True, timeout=60, check=True)
        return round(int(ended.stdout) / 1024, 1)


def measure(say: Say) -> Measured:
    last = list(COMMANDS)[-1]
    with tempfile.TemporaryDirectory(prefix="redoubt-bench-") as made:
        programs = {"ours": _Timed(_ours(), last), "bare": _Timed(_bare_program(Path(made)), last)}
        for program in programs.values():
            program.run()
            program.samples = Samples()
        for turn in samples.turns(list(programs), ROUNDS):
            for name in turn:
                programs[name].run()
        ours, bare = programs["ours"], programs["bare"]
        ours_peak, bare_peak = ours.peak_mib(), bare.peak_mib()
    ours.samples.errors += bare.samples.errors
    if ours.samples.errors:
        raise RuntimeError("a --help did not print its commands: there is nothing to compare")
    say(f"  {ROUNDS} runs of each, in turn")
    return Measured(
        values={"help_ratio_bare": round(samples.ratio(ours.samples.seconds, bare.samples.seconds), 3)},
        samples=ours.samples,
        peak_rss_mib=ours_peak,
        aside={
            "bare_p50_ms": round(1000 * statistics.median(bare.samples.seconds), 1),
            "bare_peak_rss_mib": bare_peak,
            "commands": len(COMMANDS),
        },
    )


PART = Part(
    name="help",
    operation="`redoubt --help`, from the process's start to its end",
    figures=(
        Figure(
            "help_ratio_bare",
            "time of `redoubt --help` over that of a bare Typer program with as many commands",
            bar=Bar("at most", 1.5),
        ),
    ),
    measure=measure,
)
