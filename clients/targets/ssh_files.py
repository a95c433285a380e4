"""A target that is a folder on another host: laid out and fenced as `clients.targets.files` lays out one here.

Rules and invariants:
- Each step that changes something is one call of the program `on_host.sh`, which looks at the fence and acts under
  the folder's lock on that host. So no line that breaks, and no worker that wakes up late, comes between the two.
- The private key is made there by `openssl` and never leaves; what comes back is a request that it has signed.
- A version's files are brought by SFTP into a folder that nobody reads, synced, and become a version by one rename.
- Words from the settings and from the plan go as arguments; those that become names of files are checked first.
"""

import hashlib
import ipaddress
import re
import secrets
from importlib import resources
from pathlib import PurePosixPath

from cryptography import x509

from clients.hosts import Answer, Host
from clients.targets import Bundle, Fence, keys, nginx
from rules.drift import difference
from rules.points import reached
from rules.versions import is_key_id, is_operation, is_version, superfluous
from schemas.errors import (
    CertificateRejected,
    Fenced,
    KeyNotFound,
    KeyUnsuitable,
    RedoubtError,
    ReloadFailed,
    StillServed,
    TargetUnreachable,
)
from schemas.settings import targets
from schemas.settings.key_stores import KeyAlgorithm

_PROGRAM = resources.files("clients.targets").joinpath("on_host.sh").read_text("utf-8")
_DNS_NAME = re.compile(r"[A-Za-z0-9.*_-]{1,253}")
_QUICK_S = 30.0
"""What a step without a command may take there, beside the wait for the lock."""

_REFUSED: dict[int, tuple[type[RedoubtError], str]] = {
    71: (Fenced, "has seen a later step than this one"),
    72: (TargetUnreachable, "its folder is missing, or open to other users"),
    73: (TargetUnreachable, "another process holds its lock"),
    74: (KeyNotFound, "it holds no key of this ID"),
    75: (CertificateRejected, "the certificate is for another key than it holds, or did not arrive whole"),
    76: (TargetUnreachable, "it does not hold the version that it is to use"),
    77: (TargetUnreachable, "its link `current` or `fence` was changed by someone else"),
    80: (StillServed, "it uses the key that is to be destroyed"),
    127: (TargetUnreachable, "a program is missing there: it needs sh, openssl, flock and GNU coreutils"),
}


class SshFilesTarget:
    """The port `Target` on a folder of another host, used with the rights of the user that logs in there."""

    def __init__(self, settings: targets.SshFilesTarget, host: Host) -> None:
        self.name = settings.name
        self._settings = settings
        self._host = host

    def close(self) -> None:
        """End the connection to its host; the next use makes another."""
        self._host.close()

    def make_key(self, key_id: str, algorithm: KeyAlgorithm, names: tuple[str, ...]) -> bytes:
        alternative = [self._alternative(name) for name in names]
        answer = self._step("making a key", "key", self._key_id(key_id), algorithm, *alternative)
        reached("target.key_made")
        try:
            csr = x509.load_pem_x509_csr(answer.output)
            whole = csr.is_signature_valid
        except ValueError as error:
            raise TargetUnreachable(f"Target {self.name}: what its openssl says is no request.") from error
        if not whole or keys.algorithm_of_public(csr.public_key()) != algorithm:
            raise KeyUnsuitable(f"Target {self.name} holds a key of this ID that is not {algorithm}.")
        return keys.der(csr)

    def stage(self, bundle: Bundle, fence: Fence) -> None:
        if keys.fingerprint(keys.leaf(bundle.fullchain)) != bundle.version:
            raise CertificateRejected("The version's name is not its certificate's fingerprint.")
        if bundle.key_uri is not None:
            raise KeyUnsuitable(f"Target {self.name} makes its own keys: `key.holder` must be `target`.")
        key, stamp = self._key_id(bundle.key_id), self._stamp(fence)
        draft = secrets.token_hex(16)
        files = {"fullchain.pem": bundle.fullchain, "nginx.conf": self._nginx(bundle.version)}
        self._host.put(f"{self._settings.directory}/incoming/{draft}", files)
        reached("target.drafted")
        self._step("staging a version", "stage", *stamp, bundle.version, key, draft)
        reached("target.staged")

    def current(self) -> str | None:
        return self._in_use(self._step("reading what is current", "current").output)

    def read(self, version: str) -> bytes | None:
        if not is_version(version):
            return None
        answer = self._called("read", version)
        if answer.code == 76:  # noqa: PLR2004 - the program's own
            return None
        return self._taken("reading a version", answer).output

    def drift(self, expected: str | None) -> str | None:
        held = self.current()
        if held is None or held != expected:
            return difference(held, expected)
        found = self._step("looking for changes", "drift", held).output.decode("ascii", "replace").strip()
        if found in {"certificate", "key"}:
            return f"its {found} was changed"
        whole = hashlib.sha256(self._nginx(held)).hexdigest()
        return None if found == whole else "its nginx.conf was changed"

    def switch(self, version: str, fence: Fence) -> None:
        self._use(version, fence, moved="target.switched", done="target.reloaded", doing="switching")

    def switch_back(self, version: str | None, fence: Fence) -> None:
        self._use(
            version, fence, moved="target.restored", done="target.restore_reloaded", doing="switching back"
        )

    def retire(self, keep: tuple[str, ...], fence: Fence) -> None:
        listed = self._step("retiring versions", "versions").output.decode("ascii", "replace").split()
        there = [name for name in listed if is_version(name)]
        gone = superfluous(
            there, current=self.current(), keep=keep, keep_versions=self._settings.keep_versions
        )
        self._step("retiring versions", "retire", *self._stamp(fence), *gone)

    def destroy_key(self, key_id: str, fence: Fence) -> None:
        self._step("destroying a key", "destroy", *self._stamp(fence), self._key_id(key_id))

    def _use(self, version: str | None, fence: Fence, *, moved: str, done: str, doing: str) -> None:
        if version is not None and not is_version(version):
            raise TargetUnreachable(f"Target {self.name} does not hold the version that it is to switch to.")
        stamp = self._stamp(fence)
        self._step(doing, "switch", *stamp, version or "")
        reached(moved)
        if self._settings.check:
            self._command("check", stamp, self._settings.check)
        self._command("reload", stamp, self._settings.reload)
        reached(done)

    def _command(self, what: str, stamp: tuple[str, str], argv: tuple[str, ...]) -> None:
        within = self._settings.reload_timeout_s
        answer = self._called("apply", *stamp, f"{within:g}", *argv, more_s=within)
        if answer.code == 79:  # noqa: PLR2004 - the program's own
            raise ReloadFailed(
                f"Target {self.name}: its {what} command did not end within {within:g} s and was killed; "
                f"it last said: {answer.words or 'nothing'}."
            )
        if answer.code == 78:  # noqa: PLR2004
            code = answer.output.decode("ascii", "replace")
            raise ReloadFailed(
                f"Target {self.name}: its {what} command failed with exit code {code}; "
                f"it last said: {answer.words or 'nothing'}."
            )
        self._taken(f"its {what} command", answer)

    def _step(self, doing: str, step: str, *arguments: str) -> Answer:
        return self._taken(doing, self._called(step, *arguments))

    def _called(self, step: str, *arguments: str, more_s: float = 0.0) -> Answer:
        """At most one check and one reload of another attempt pass while we wait for the lock."""
        wait_s = 2 * self._settings.reload_timeout_s + 1
        fixed = ("sh", "-c", _PROGRAM, "redoubt", self._settings.directory, f"{wait_s:g}", step)
        return self._host.run((*fixed, *arguments), wait_s + more_s + _QUICK_S)

    def _taken(self, doing: str, answer: Answer) -> Answer:
        if answer.code == 0:
            return answer
        error, words = _REFUSED.get(answer.code, (TargetUnreachable, ""))
        said = words or f"its host said: {answer.words or 'nothing'}"
        raise error(f"Target {self.name}: {said} ({doing}).")

    def _in_use(self, output: bytes) -> str | None:
        version = output.decode("ascii", "replace").strip()
        if version and not is_version(version):
            raise TargetUnreachable(f"Target {self.name}: its link `current` was changed by someone else.")
        return version or None

    def _nginx(self, version: str) -> bytes:
        place = PurePosixPath(nginx.path(self.name, self._settings.directory)) / "versions" / version
        return nginx.lines(str(place / "fullchain.pem"), str(place / "key.pem"))

    def _key_id(self, key_id: str) -> str:
        if not is_key_id(key_id):
            raise KeyNotFound(f"Target {self.name}: a key's ID is hexadecimal.")
        return key_id

    def _stamp(self, fence: Fence) -> tuple[str, str]:
        if not is_operation(fence.operation):
            raise TargetUnreachable(f"Target {self.name}: the operation's ID can't be kept as a stamp.")
        return fence.operation, str(fence.epoch)

    def _alternative(self, name: str) -> str:
        try:
            return f"IP:{ipaddress.ip_address(name)}"
        except ValueError:
            if not _DNS_NAME.fullmatch(name):
                raise KeyUnsuitable(f"Target {self.name}: a name to certify is no DNS name.") from None
            return f"DNS:{name}"
