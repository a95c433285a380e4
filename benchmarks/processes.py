"""How much memory a process holds and has held, and how much CPU time it has used, as the kernel counts it."""

import os
from contextlib import suppress
from pathlib import Path

_FORGET_THE_PEAK = "5"


def forget_peak() -> None:
    """Count this process's peak from here on. Where the kernel does not let us, it counts from the start."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_FORGET_THE_PEAK, encoding="ascii")


def peak_mib(pid: int | str = "self") -> float:
    return _field(pid, "VmHWM")


def resident_mib(pid: int | str = "self") -> float:
    return _field(pid, "VmRSS")


def _field(pid: int | str, name: str) -> float:
    """Raises `ProcessLookupError` for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        raise ProcessLookupError(f"there is no process {pid}") from None
    for line in lines:
        if line.startswith(f"{name}:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise ProcessLookupError(f"process {pid} has no memory any more")


def cpu_seconds(pid: int) -> float:
    """Of all its threads, in ticks of the kernel's clock."""
    # The name stands in brackets and may hold anything: count from behind it.
    fields = (
        Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    )
    user, system = fields[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
