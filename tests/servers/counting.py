"""A PKCS#11 module that counts log-ins: SoftHSM never locks a token, so only the count shows who would have."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

CKR_OK = "0x0"
CKR_PIN_INCORRECT = "0xa0"

_SOURCE = Path(__file__).with_name("counting.c")


@dataclass(frozen=True)
class CountingModule:
    """Built in `folder`; who loads `path` needs `env`."""

    folder: Path
    module: Path

    def build(self) -> "CountingModule":
        argv = [
            "cc",
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Werror",
            "-o",
            str(self.path),
            str(_SOURCE),
            "-ldl",
        ]
        subprocess.run(argv, check=True, timeout=60)
        self._logins.touch()
        return self

    @property
    def path(self) -> Path:
        return self.folder / "counting.so"

    @property
    def env(self) -> dict[str, str]:
        return {"COUNTED_MODULE": str(self.module), "COUNTED_LOGINS": str(self._logins)}

    def answers(self) -> list[str]:
        """How each C_Login of any process was answered, in order."""
        return self._logins.read_text("ascii").split()

    @property
    def _logins(self) -> Path:
        return self.folder / "logins"
