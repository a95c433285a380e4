"""Follows references to secrets (`schemas.references`) at the moment of use. Nothing is cached or logged.

`vault:` needs `VAULT_ADDR` and a token (`clients.secrets.vault`); its library loads when the first such reference
is followed.
"""

import os
from pathlib import Path

from clients.secrets.files import read_file
from clients.secrets.weak import why_refused
from schemas.errors import InvalidReference


class Secrets:
    """The `SecretSource` of a process."""

    def resolve(self, reference: str) -> bytes:
        scheme, _, rest = reference.partition(":")
        value = _without_newline(self._read(scheme, rest))
        if refused := why_refused(value):
            raise InvalidReference(f"The {scheme}: reference leads to a value that {refused}.")
        return value

    @staticmethod
    def _read(scheme: str, rest: str) -> bytes:
        match scheme:
            case "file" if rest:
                return read_file(Path(rest))
            case "env" if rest:
                return _read_environment(rest)
            case "vault" if rest:
                from clients.secrets.vault import Vault  # noqa: PLC0415  hvac loads only where Vault is used

                return Vault.from_environment().read(rest)
            case _:
                # The text itself is not repeated: it may be the secret.
                raise InvalidReference("A secret is given by reference, never as a value.")


def _read_environment(name: str) -> bytes:
    value = os.environb.get(name.encode())
    if value is None:
        raise InvalidReference(f"env:{name} is not set in this process.")
    return value


def _without_newline(value: bytes) -> bytes:
    return value.removesuffix(b"\n").removesuffix(b"\r")
