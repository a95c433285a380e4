"""HTTP-01 (RFC 8555, 8.3): a file in a web root that a web server shows on port 80 of every name.

The token comes from the CA, so it is checked before it becomes a file's name: base64url and nothing else.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from clients.challenges import Proof
from rules.points import reached
from schemas.errors import CaRefused, DependencyUnavailable

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")
_WELL_KNOWN = Path(".well-known") / "acme-challenge"


class WebrootSolver:
    """The port `ChallengeSolver`; the web server reads the folder as another user, so its files are readable."""

    kind = "http-01"

    def __init__(self, webroot: Path) -> None:
        self._folder = webroot / _WELL_KNOWN

    def publish(self, proof: Proof) -> None:
        path = self._path(proof.token)
        try:
            self._make_folders()
            self._write(path, proof.key_authorization)
        except OSError as error:
            raise DependencyUnavailable(
                f"The challenge for {proof.name} can't be written below its `webroot`: {error.strerror}."
            ) from error
        reached("challenge.published")

    def await_visible(self, proof: Proof, beat: Callable[[], None]) -> None:
        """Nothing to wait for: the file is whole at once, and one web server shows it."""

    def withdraw(self, proof: Proof) -> None:
        try:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # then nothing is shown, either
                self._path(proof.token).unlink()
        except OSError as error:
            raise DependencyUnavailable(
                f"The challenge for {proof.name} can't be taken out of its `webroot`: {error.strerror}."
            ) from error

    def _make_folders(self) -> None:
        """Readable for the web server's user whatever our umask; folders that are there stay as they are."""
        for folder in (self._folder.parent, self._folder):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o755)

    def _path(self, token: str) -> Path:
        if not _TOKEN.fullmatch(token):
            raise CaRefused("The CA sent a challenge token that is not base64url.")
        return self._folder / token

    def _write(self, path: Path, text: str) -> None:
        handle, draft = tempfile.mkstemp(dir=self._folder, prefix=".")
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
            Path(draft).chmod(0o644)
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
