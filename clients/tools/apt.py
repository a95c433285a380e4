"""Debian's and Ubuntu's package manager, where we are root or may use sudo without a password.

Nothing is asked and nothing recommended is added. The package lists are brought up to date only if a package can't
be had without it. While we install, no package may start its service: a fresh nginx or PostgreSQL would listen to
the world. The notice that says so is bound to this process, so one that a kill leaves behind forbids nothing.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from clients.tools import cache
from clients.tools.process import run
from clients.tools.table import AptWay, Tool
from clients.tools.way import Say, Unobtainable

_TIMEOUT_S = 1800
_POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
_MAY_NOT_START = (
    "#!/bin/sh\n# Made while redoubt installs packages; without that process it allows everything.\n"
)


class Apt:
    heavy = False

    def __init__(self, policy: pathlib.Path = _POLICY) -> None:
        self._policy = policy

    def get(self, recipe: AptWay, tool: Tool, into: pathlib.Path, say: Say) -> None:  # noqa: ARG002 - apt chooses the place
        apt = shutil.which("apt-get")
        if apt is None:
            raise Unobtainable("this system has no apt-get")
        root = _as_root(recipe)
        packages = " ".join(recipe.packages)
        with cache.lock("apt", say), self._no_services(root):
            say(f"installing {packages} with apt-get for {tool.name}")
            install = [
                *root,
                apt,
                "-q",
                "-y",
                "-o",
                "DPkg::Lock::Timeout=600",
                "install",
                "--no-install-recommends",
            ]
            try:
                run([*install, *recipe.packages], timeout_s=_TIMEOUT_S, env=_QUIET)
            except Unobtainable:
                say("bringing apt's package lists up to date")
                run([*root, apt, "-q", "update"], timeout_s=_TIMEOUT_S, env=_QUIET)
                say(f"installing {packages} with apt-get for {tool.name}")
                run([*install, *recipe.packages], timeout_s=_TIMEOUT_S, env=_QUIET)

    @contextlib.contextmanager
    def _no_services(self, root: list[str]) -> Iterator[None]:
        """While this process lives, packages don't start services; a policy of the system's own stays as it is."""
        if self._policy.exists() and _MAY_NOT_START not in self._policy.read_text(errors="replace"):
            yield
            return
        with tempfile.NamedTemporaryFile("w", suffix=".policy") as notice:
            notice.write(f"{_MAY_NOT_START}[ -d /proc/{os.getpid()} ] && exit 101\nexit 0\n")
            notice.flush()
            run([*root, "install", "-m", "755", notice.name, str(self._policy)], timeout_s=30)
        try:
            yield
        finally:
            run([*root, "rm", "-f", str(self._policy)], timeout_s=30)


def _as_root(recipe: AptWay) -> list[str]:
    """What to put before a command to run it as root, keeping apt from asking. Raises `Unobtainable`."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is not None:
        with contextlib.suppress(Unobtainable):
            run([sudo, "-n", "true"], timeout_s=10)
            # We may not kill what runs as root, so the time limit runs as root too.
            return [
                sudo,
                "-n",
                "timeout",
                "-k",
                "10",
                str(_TIMEOUT_S),
                "env",
                *(f"{name}={value}" for name, value in _QUIET.items()),
            ]
    by_hand = " ".join(recipe.packages)
    raise Unobtainable(f"it takes root: run `sudo apt-get install --no-install-recommends {by_hand}`")
