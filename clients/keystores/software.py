"""Keys and versioned secrets in a folder of sealed files, for hosts that have no token.

- A file's content never changes once it is there, so readers need no lock; makers and destroyers hold the
  folder's lock, which other processes see.
- The folder is ours and mode 0700, or nothing is read from it or written to it.
- Nothing is cached: a key that another process destroyed signs no more.
- A private key is in this process's memory while it signs. Who has the master key has the keys: a token is
  better wherever there is one.
"""

import base64
import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from clients.keystores import KeyFacts
from clients.keystores.sealed import Label, Seal
from clients.locks import lock
from clients.secrets.files import sync_folder
from rules.points import reached
from schemas.errors import KeyNotFound, KeyStoreUnavailable, KeyUnsuitable
from schemas.settings.key_stores import KeyAlgorithm

SoftKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_SECRET_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_DIGESTS: dict[str, hashes.HashAlgorithm] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}
_MAX_ID_BYTES = 64
_LOCK_WAIT_S = 60.0


class SoftwareKeyStore:
    """A `KeyStore`, and the versioned secrets that the payload codec's key ring is made of."""

    def __init__(self, name: str, path: Path, master_key: bytes) -> None:
        self.name = name
        self._path = path
        self._seal = Seal(master_key)

    def generate(self, key_id: bytes, label: str, algorithm: KeyAlgorithm) -> KeyFacts:
        file = self._key_file(key_id)
        with self._locked():
            if not file.exists():
                content = _packed(label, algorithm, _made(algorithm))
                reached("key.generating")
                self._seal.write(file, self._label("key", key_id.hex()), content)
                reached("key.generated")
        return self.describe(key_id)

    def describe(self, key_id: bytes) -> KeyFacts:
        label, algorithm, key = self._opened(key_id)
        return KeyFacts(
            key_id=key_id.hex(),
            label=label,
            algorithm=algorithm,
            public_key=key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            extractable=False,
        )

    def custody(self, key_id: bytes) -> None:
        self._opened(key_id)

    def sign(self, key_id: bytes, data: bytes, digest: Literal["sha256", "sha384"]) -> bytes:
        _, _, key = self._opened(key_id)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, padding.PKCS1v15(), _DIGESTS[digest])
        return key.sign(data, ec.ECDSA(_DIGESTS[digest]))

    def destroy(self, key_id: bytes) -> None:
        file = self._key_file(key_id)
        with self._locked():
            reached("key.destroying")
            file.unlink(missing_ok=True)
            sync_folder(file.parent)
            reached("key.destroyed")

    def list(self) -> tuple[KeyFacts, ...]:
        files = sorted(self._folder("keys").glob("*.key"))
        return tuple(self.describe(bytes.fromhex(file.stem)) for file in files)

    def uri(self, key_id: bytes) -> str | None:  # noqa: ARG002  the port's signature
        return None

    def check(self) -> None:
        """Also opens one file, if there is any: another master key shows at once."""
        for file in sorted(self._folder("keys").glob("*.key"))[:1]:
            self.describe(bytes.fromhex(file.stem))
        for folder in sorted(self._folder("secrets").iterdir())[:1]:
            self.secret(folder.name)

    def put_secret(self, name: str, value: bytes) -> int:
        """Add a version and return its number, from 1; earlier versions stay readable."""
        with self._locked():
            version = max(self.secret_versions(name), default=0) + 1
            folder = self._secret_folder(name)
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
            self._seal.write(folder / f"{version}.secret", self._label("secret", name, version), value)
            return version

    def secret(self, name: str, version: int | None = None) -> tuple[int, bytes]:
        """The version asked for, or the newest. Raises `KeyNotFound`."""
        if version is None:
            version = max(self.secret_versions(name), default=0)
        file = self._secret_folder(name) / f"{version}.secret"
        try:
            return version, self._seal.read(file, self._label("secret", name, version))
        except FileNotFoundError as error:
            raise KeyNotFound(f"Key store {self.name} has no version {version} of secret {name}.") from error

    def secret_versions(self, name: str) -> tuple[int, ...]:
        return tuple(sorted(int(file.stem) for file in self._secret_folder(name).glob("*.secret")))

    def _opened(self, key_id: bytes) -> tuple[str, str, SoftKey]:
        try:
            content = self._seal.read(self._key_file(key_id), self._label("key", key_id.hex()))
        except FileNotFoundError as error:
            raise KeyNotFound(f"Key store {self.name} has no key {key_id.hex()}.") from error
        return _unpacked(content)

    def _label(self, kind: str, item: str, version: int = 1) -> Label:
        return Label(self.name, kind, item, version)

    def _key_file(self, key_id: bytes) -> Path:
        if not 0 < len(key_id) <= _MAX_ID_BYTES:
            raise KeyUnsuitable(f"A key ID has 1 to {_MAX_ID_BYTES} bytes.")
        return self._folder("keys") / f"{key_id.hex()}.key"

    def _secret_folder(self, name: str) -> Path:
        if not _SECRET_NAME.fullmatch(name):
            raise KeyUnsuitable("A secret's name has lower-case letters, digits and hyphens only.")
        return self._folder("secrets") / name

    def _folder(self, kind: str) -> Path:
        folder = self._path / kind
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_wide()
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or "error").lower()
            raise KeyStoreUnavailable(f"The folder of key store {self.name}: {reason}.") from error
        return folder

    def _refuse_wide(self) -> None:
        status = self._path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise KeyStoreUnavailable(
                f"The folder of key store {self.name} must be a folder of this process's user with mode 0700, and is "
                f"not (mode {stat.S_IMODE(status.st_mode):04o})."
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all threads and processes: each entry opens the lock file anew, and so waits for the others."""
        self._folder("keys")
        handle = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            stuck = KeyStoreUnavailable(
                f"Another process holds key store {self.name} and does not come to an end."
            )
            lock(handle, _LOCK_WAIT_S, stuck)
            yield
        finally:
            os.close(handle)


def _made(algorithm: str) -> SoftKey:
    match algorithm:
        case "EC-P256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EC-P384":
            return ec.generate_private_key(ec.SECP384R1())
        case "RSA-2048" | "RSA-3072":
            return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm[-4:]))
        case _:
            raise KeyUnsuitable(f"A software key store makes no {algorithm} keys.")


def _packed(label: str, algorithm: str, key: SoftKey) -> bytes:
    pkcs8 = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = {"label": label, "algorithm": algorithm, "pkcs8": base64.b64encode(pkcs8).decode()}
    return json.dumps(content).encode()


def _unpacked(content: bytes) -> tuple[str, str, SoftKey]:
    fields = json.loads(content)
    key = serialization.load_der_private_key(base64.b64decode(fields["pkcs8"]), None)
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise KeyUnsuitable("A software key store holds keys of another kind than it makes.")
    return fields["label"], fields["algorithm"], key
