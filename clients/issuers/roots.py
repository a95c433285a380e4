"""The roots that an issuer's certificates must chain to, where the settings name a file of them."""

from pathlib import Path

from schemas.errors import InvalidSettings


def read_trust_file(issuer: str, file: str) -> bytes:
    """PEM. Raises `InvalidSettings`."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidSettings(f"issuers.{issuer}.trust_file can't be read ({error.strerror}).") from error
