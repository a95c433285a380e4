"""A target that is a folder: versions side by side, one link that says which is current, and a reload command.

    DIRECTORY/versions/<fingerprint>/{fullchain.pem, key.pem, nginx.conf}   complete, or not there
                                     and one more file where PKCS#12 is asked for
    DIRECTORY/keys/<key ID>.pem      0600; made here, never leaves, and stands in no other file
    DIRECTORY/current                a link to versions/<fingerprint>: what the service reads
    DIRECTORY/fence                  a link whose text is the newest stamp seen here
    DIRECTORY/lock                   held (flock) by the one process that changes the folder

Rules and invariants:
- A version gets its name by a rename, when it is complete and synced; a failed or killed attempt leaves none.
- `current` changes by one rename; a version's `nginx.conf` names its own files and not those of `current`, so a
  service that reads while we switch gets certificate and key of one version.
- The stamp is durable before the effect that it allows, so no older attempt comes through after it.
- Links cost no block: a full disk stops a new version, and never the way back to the last one.
- The reload runs under the lock, each time a switch is asked for: an attempt that was killed between link and
  reload is mended by the next.
"""

import contextlib
import errno
import time
from collections.abc import Iterator
from pathlib import PurePosixPath

from clients.secrets import SecretSource
from clients.targets import Bundle, Fence, commands, drift, keys, nginx, pkcs12
from clients.targets.folder import Folder
from rules.drift import difference
from rules.points import reached
from rules.versions import Stamp, admits, is_key_id, is_operation, is_version, superfluous
from schemas.errors import (
    CertificateRejected,
    Fenced,
    InvalidReference,
    KeyNotFound,
    KeyUnsuitable,
    StillServed,
    TargetUnreachable,
)
from schemas.settings import targets
from schemas.settings.key_stores import KeyAlgorithm

_KEY_LINK = "key.pem"
_DRAFT = ".draft"
_GONE = ".gone"
_FORGOTTEN_KEY_S = 30 * 86_400
"""A key that no version has used for so long belonged to an order that came to nothing."""

_CAUSES = {
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "its disk quota is used up",
    errno.EFBIG: "a file would grow over the size that is allowed there",
    errno.EACCES: "permission is denied",
    errno.EPERM: "its files belong to, or are open to, other users",
    errno.ENOENT: "its folder is missing",
    errno.ENOTDIR: "a file or a link stands where a folder must be",
    errno.ELOOP: "a link stands where a file must be",
    errno.EINVAL: "a file or a folder stands where a link must be",
    errno.EISDIR: "a folder stands where a link or a file must be",
    errno.ENOTEMPTY: "a folder stands where a link or a file must be",
    errno.EROFS: "its disk is mounted read-only",
    errno.EIO: "its disk reports an error",
    errno.ETIMEDOUT: "another process holds its lock",
}


class FilesTarget:
    """The port `Target` on a folder of this host, used with the rights of this process."""

    def __init__(self, settings: targets.FilesTarget, secrets: SecretSource | None = None) -> None:
        self.name = settings.name
        self._settings = settings
        self._secrets = secrets

    def make_key(self, key_id: str, algorithm: KeyAlgorithm, names: tuple[str, ...]) -> bytes:
        with self._alone("making a key") as root, root.sub("keys") as held:
            file = self._key_file(key_id)
            if file not in held.names():
                held.publish(file, keys.generate(algorithm))
                reached("target.key_made")
            key = keys.load(held.read(file))
        if keys.algorithm_of(key) != algorithm:
            raise KeyUnsuitable(f"Target {self.name} holds a key of this ID that is not {algorithm}.")
        return keys.request(key, names)

    def stage(self, bundle: Bundle, fence: Fence) -> None:
        certificate = keys.leaf(bundle.fullchain)
        if keys.fingerprint(certificate) != bundle.version:
            raise CertificateRejected("The version's name is not its certificate's fingerprint.")
        with self._alone("staging a version") as root, root.sub("versions") as versions:
            self._admit(root, fence)
            if bundle.version in versions.names():
                return
            try:
                versions.discard(_DRAFT)
                with versions.sub(_DRAFT) as draft:
                    self._fill(root, draft, bundle)
                reached("target.drafted")
                versions.rename(_DRAFT, bundle.version)
            except BaseException:
                versions.discard(_DRAFT)
                raise
            reached("target.staged")

    def current(self) -> str | None:
        with self._open("reading what is current") as root:
            return self._current(root)

    def read(self, version: str) -> bytes | None:
        with self._open("reading a version") as root:
            if not is_version(version) or "versions" not in root.names():
                return None
            with root.sub("versions") as versions:
                if version not in versions.names():
                    return None
                with versions.sub(version) as files:
                    return files.read("fullchain.pem") if "fullchain.pem" in files.names() else None

    def drift(self, expected: str | None) -> str | None:
        with self._open("looking for changes") as root:
            held = self._current(root)
            if held is None or held != expected:
                return difference(held, expected)
            if "versions" not in root.names():
                return "its versions are gone"
            with root.sub("versions") as versions:
                if held not in versions.names():
                    return "the version in use is gone"
                with versions.sub(held) as files, root.sub("keys") as own:
                    return drift.changed(held, files, own, self._place(held))

    def switch(self, version: str, fence: Fence) -> None:
        self._use(version, fence, moved="target.switched", done="target.reloaded", doing="switching")

    def switch_back(self, version: str | None, fence: Fence) -> None:
        self._use(
            version, fence, moved="target.restored", done="target.restore_reloaded", doing="switching back"
        )

    def retire(self, keep: tuple[str, ...], fence: Fence) -> None:
        with (
            self._alone("retiring versions") as root,
            root.sub("versions") as versions,
            root.sub("keys") as held,
        ):
            self._admit(root, fence)
            there = [name for name in versions.names() if is_version(name)]
            there.sort(key=lambda name: (versions.changed_at(name), name), reverse=True)
            for version in superfluous(
                there, current=self._current(root), keep=keep, keep_versions=self._settings.keep_versions
            ):
                versions.discard(_GONE)
                versions.rename(version, _GONE)
            versions.discard(_GONE)
            versions.discard(_DRAFT)  # of an attempt that was killed, in an operation that then went back
            self._forget_keys(versions, held)

    def destroy_key(self, key_id: str, fence: Fence) -> None:
        file = self._key_file(key_id)
        with (
            self._alone("destroying a key") as root,
            root.sub("versions") as versions,
            root.sub("keys") as held,
        ):
            self._admit(root, fence)
            having = [name for name in versions.names() if _key_of(versions, name) == file]
            if self._current(root) in having:
                raise StillServed(f"Target {self.name} uses the key that is to be destroyed.")
            for name in having:
                with versions.sub(name) as files:
                    # The link goes last: by it a second attempt finds what is left.
                    for part in sorted(files.names(), key=_KEY_LINK.__eq__):
                        files.wipe(part)
                versions.discard(name)
            held.wipe(file)

    def _use(self, version: str | None, fence: Fence, *, moved: str, done: str, doing: str) -> None:
        with self._alone(doing) as root:
            self._admit(root, fence)
            if version is None:
                root.discard("current")
            else:
                self._require(root, version)
                root.point("current", f"versions/{version}")
            reached(moved)
            if self._settings.check:
                commands.run(self.name, "check", self._settings.check, self._settings.reload_timeout_s)
            commands.run(self.name, "reload", self._settings.reload, self._settings.reload_timeout_s)
            reached(done)

    def _fill(self, root: Folder, draft: Folder, bundle: Bundle) -> None:
        """Write a version's files. Its key file is a link: the key itself stays in one place."""
        place, own_key = self._place(bundle.version), None
        if bundle.key_uri is None:
            file = self._key_file(bundle.key_id)
            with root.sub("keys") as held:
                if file not in held.names():
                    raise KeyNotFound(f"Target {self.name} holds no key of this ID.")
                own_key = keys.load(held.read(file))
                if not keys.belong_together(keys.leaf(bundle.fullchain), own_key):
                    raise CertificateRejected(
                        f"The certificate is for another key than target {self.name} holds."
                    )
            draft.point(_KEY_LINK, f"../../keys/{file}")
            key = str(place / _KEY_LINK)
        else:
            pin_file = self._settings.pin_file
            key = nginx.engine_key(bundle.key_uri, nginx.path(self.name, pin_file) if pin_file else None)
        draft.write("fullchain.pem", bundle.fullchain)
        draft.write("nginx.conf", nginx.lines(str(place / "fullchain.pem"), key))
        if wanted := self._settings.pkcs12:
            draft.write(wanted.file, self._sealed(bundle.fullchain, own_key, wanted))
        draft.sync()

    def _sealed(self, fullchain: bytes, key: keys.PrivateKey | None, wanted: targets.Pkcs12) -> bytes:
        if self._secrets is None:
            raise InvalidReference(f"Target {self.name}: its PKCS#12 password can't be followed from here.")
        return pkcs12.sealed(self.name, fullchain, key, self._secrets.resolve(wanted.password))

    def _place(self, version: str) -> PurePosixPath:
        return PurePosixPath(nginx.path(self.name, self._settings.directory)) / "versions" / version

    def _require(self, root: Folder, version: str) -> None:
        with root.sub("versions") as versions:
            if not is_version(version) or version not in versions.names():
                raise TargetUnreachable(
                    f"Target {self.name} does not hold the version that it is to switch to."
                )

    def _current(self, root: Folder) -> str | None:
        text = root.link("current")
        if text is None:
            return None
        folder, _, version = text.partition("/")
        if folder != "versions" or not is_version(version):
            raise TargetUnreachable(f"Target {self.name}: its link `current` was changed by someone else.")
        return version

    def _admit(self, root: Folder, fence: Fence) -> None:
        """Refuse an attempt that a later one has overtaken; else make its stamp durable before it acts."""
        if not is_operation(fence.operation):
            raise TargetUnreachable(f"Target {self.name}: the operation's ID can't be kept as a stamp.")
        newest, asked = self._newest(root), (fence.operation, fence.epoch)
        if not admits(newest, asked):
            raise Fenced(f"Target {self.name} has seen a later step than this one.")
        if newest != asked:
            root.point("fence", f"{fence.operation}.{fence.epoch}")
            reached("target.fenced")

    def _newest(self, root: Folder) -> Stamp | None:
        text = root.link("fence")
        if text is None:
            return None
        operation, _, epoch = text.rpartition(".")
        if not is_operation(operation) or not epoch.isdecimal():
            raise TargetUnreachable(f"Target {self.name}: its fence was changed by someone else.")
        return operation, int(epoch)

    def _forget_keys(self, versions: Folder, held: Folder) -> None:
        """Delete keys that no version uses any more, but not those whose certificate may still be on its way."""
        used = {_key_of(versions, name) for name in versions.names()}
        before = time.time() - _FORGOTTEN_KEY_S
        for file in held.names():
            if file not in used and held.changed_at(file) < before:
                held.discard(file)

    def _key_file(self, key_id: str) -> str:
        if not is_key_id(key_id):
            raise KeyNotFound(f"Target {self.name}: a key's ID is hexadecimal.")
        return f"{key_id}.pem"

    @contextlib.contextmanager
    def _open(self, doing: str) -> Iterator[Folder]:
        try:
            with Folder.at(self._settings.directory) as root:
                yield root
        except OSError as error:
            cause = _CAUSES.get(error.errno or 0, error.strerror or "an error of the system")
            raise TargetUnreachable(f"Target {self.name}: {cause} ({doing}).") from error

    @contextlib.contextmanager
    def _alone(self, doing: str) -> Iterator[Folder]:
        """Under the target's lock: at most one check and one reload pass while we wait for it."""
        with self._open(doing) as root, root.locked(2 * self._settings.reload_timeout_s + 1):
            yield root


def _key_of(versions: Folder, name: str) -> str:
    """The file of the key that a version has; empty if it has none of this target's."""
    with versions.sub(name) as version:
        return PurePosixPath(version.link(_KEY_LINK) or "").name
