"""A real sshd on loopback, as the user who runs the tests, with a host key and one user key that nobody else has."""

import os
import pwd
import subprocess
from pathlib import Path

from cli.dev.process import Child, free_port, listening
from clients.tools import find
from schemas.settings.targets import SshLogin

_SETTINGS = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding local
Subsystem sftp {sftp}
SetEnv SHLVL=1
"""
"""The last line keeps bash from reading the user's own bashrc at each command: it does so for a first shell only."""

_PRIVSEP = Path("/run/sshd")
"""Debian's sshd wants it when root starts it; its service makes it otherwise."""


class Sshd:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.port = free_port()
        self._child: Child | None = None
        for name in ("host_key", "user_key"):
            _generate(folder / name)
        (folder / "authorized_keys").write_bytes((folder / "user_key.pub").read_bytes())
        if os.geteuid() == 0:
            _PRIVSEP.mkdir(mode=0o755, exist_ok=True)

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def login(self, **other: object) -> SshLogin:
        given = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            "key": f"file:{self.folder / 'user_key'}",
            "host_key": self.host_key,
        }
        return SshLogin.model_validate({**given, **other})

    def start(self) -> None:
        settings = self.folder / "sshd_config"
        settings.write_text(_SETTINGS.format(port=self.port, folder=self.folder, sftp=find("sftp-server")))
        argv: list[str | Path] = [find("sshd"), "-D", "-e", "-f", settings]
        self._child = Child("sshd", argv, self.folder / "sshd.log")
        self._child.start()
        self._child.wait_until(lambda: listening(self.port), 60, "ready")

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()


def _generate(file: Path) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(file)]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
