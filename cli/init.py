"""`redoubt init`: every secret of an installation, and a settings file that refers to them.

- Each secret has 256 bits, is made here, and is written once, whole or not at all: into a file of mode 0600, or into
  Vault (KV version 2, only if nothing is there).
- Nothing that exists is ever written over. What is there is checked: a secret that is empty, open to others or
  a default is refused, not kept.
- The settings file is written after the secrets, and the first payload key last, into the key store that they open.
  So whatever kills it, a second run makes what is missing and ends the same.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.output import Format, Output, say, table
from clients.secrets.files import store_file
from clients.secrets.resolver import Secrets
from clients.settings import load
from clients.settings.example import initial
from rules.points import reached
from schemas.errors import InvalidReference
from schemas.settings import Settings

SETTINGS: Final = "redoubt.yaml"
_FOLDERS: Final = ("secrets", "keys", "spool", "ca")


def _seed() -> bytes:
    return secrets.token_hex(32).encode()


def _word() -> bytes:
    return secrets.token_urlsafe(32).encode()


def _account_key() -> bytes:
    """P-256, PKCS#8 PEM, as RFC 8555 accounts take it."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  # loads where a key is made
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


SECRETS: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "codec-master-key": ("encrypts the payload keys", _seed),
    "keys-master-key": ("encrypts the keys of the software key store", _seed),
    "log-key": ("seed of the evidence log's signing key", _seed),
    "spool-key": ("signs what is spooled while the records are away", _seed),
    "codec-server-path": ("stands for the token where the Web UI can send none", _word),
    "codec-server-token": ("bearer token of the codec server's users", _word),
    "acme-account-key": ("account key for ACME CAs", _account_key),
    "token-pin": ("user PIN for a PKCS#11 token", _seed),
}
"""Every secret of an installation: its name, what it is for, and how it is made."""


@dataclass(frozen=True)
class Made:
    name: str
    where: str
    state: str
    """`made`, or `kept` if it was there."""


def command(
    folder: Annotated[Path, typer.Option("--dir", metavar="D", help="Folder of the installation.")] = Path(),
    vault: Annotated[
        str,
        typer.Option(metavar="MOUNT/PATH", help="Put the secrets into Vault (VAULT_ADDR) below this path."),
    ] = "",
    output: Output = Format.TEXT,
) -> None:
    """Make every secret of an installation, and a settings file; run it again to add what is missing."""
    folder, vault = folder.absolute(), vault.strip("/")
    if vault and not re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+", vault):
        raise typer.BadParameter("MOUNT/PATH, for example kv/redoubt", param_hint="--vault")
    _folders(folder)
    with _alone(folder):
        made = [_to_vault(vault, name) if vault else _to_file(folder, name) for name in SECRETS]
        made.append(_settings(folder, vault))
        made.append(_payload_key(load(folder / SETTINGS)))
    rows = [{"name": one.name, "where": one.where, "state": one.state} for one in made]
    table(rows, ("name", "where", "state"), output)
    if all(one.state == "kept" for one in made):
        say("Everything was there already; nothing was changed.")
    else:
        say(f"Next: export REDOUBT_CONFIG={folder / SETTINGS}; redoubt store migrate; redoubt doctor")


def _folders(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FOLDERS:
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    held = folder / "secrets"
    if held.is_symlink() or held.stat().st_uid != os.geteuid() or held.stat().st_mode & 0o077:
        raise InvalidReference(f"{held} must be a folder of yours with mode 0700.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One `init` a folder at a time; what a killed one left half-written is thrown away."""
    handle = os.open(folder / "secrets", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for name in (*SECRETS, SETTINGS):
            for left in (folder if name == SETTINGS else folder / "secrets").glob(f".{name}.*"):
                left.unlink()
        yield
    finally:
        os.close(handle)


def _to_file(folder: Path, name: str) -> Made:
    path = folder / "secrets" / name
    state = "kept"
    if not os.path.lexists(path):
        store_file(path, SECRETS[name][1]() + b"\n")
        reached("secret.stored")
        state = "made"
    return Made(name, _usable(name, f"file:{path}"), state)


def _usable(name: str, reference: str) -> str:
    """What is kept must be a secret, too."""
    try:
        Secrets().resolve(reference)
    except InvalidReference as refused:
        raise InvalidReference(f"{name} is there, and can't be kept. {refused.in_full}") from None
    return reference


def _to_vault(below: str, name: str) -> Made:
    from clients.secrets.vault import store_vault  # noqa: PLC0415  # Vault's library loads where Vault is used

    mount, _, path = f"{below}/{name}".partition("/")
    state = "kept"
    try:
        store_vault(mount, path, "value", SECRETS[name][1]())
        reached("secret.stored")
        state = "made"
    except FileExistsError:
        _usable(name, _in_vault(below, name))
    return Made(name, _in_vault(below, name), state)


def _in_vault(below: str, name: str) -> str:
    return f"vault:{below}/{name}#value"


def _settings(folder: Path, vault: str) -> Made:
    path = folder / SETTINGS
    if os.path.lexists(path):
        return Made("settings", str(path), "kept")
    text = initial()
    for name in SECRETS:
        if vault:
            text = text.replace(f"file:secrets/{name}\n", f"{_in_vault(vault, name)}\n")
    reached("settings.rendered")
    store_file(path, text.encode())
    reached("settings.stored")
    return Made("settings", str(path), "made")


def _payload_key(settings: Settings) -> Made:
    """What payloads are encrypted with: in the software key store that the settings name."""
    from workers.wiring import Wiring  # noqa: PLC0415  # knows the key stores

    ring, where = Wiring(settings).key_ring(), f"key store {settings.codec.key_store}"
    if ring.versions():
        return Made("payload-key", where, "kept")
    ring.rotate()
    reached("payload-key.made")
    return Made("payload-key", where, "made")
