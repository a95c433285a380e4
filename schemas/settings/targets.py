"""What serves a certificate, and where one sees that it does."""

from typing import Literal

from pydantic import Field, PositiveInt

from schemas.contract import Contract
from schemas.settings.names import Name, Path, Port


class VerifyAt(Contract):
    """Where a TLS handshake shows what this target serves; the SNI is the certificate's first name."""

    host: str = Field(description="Host or address of the service.")
    port: Port = Field(default=443, description="Its TLS port.")
    trust_file: Path | None = Field(default=None, description="Roots to verify against; None: the issuer's.")


class FilesTarget(Contract):
    """Versions in a folder, one link to the current one, and a command that makes the service read it."""

    kind: Literal["files"] = "files"
    name: Name = Field(description="The target's name, unique in this certificate.")
    directory: Path = Field(description="Folder of the versions; `current` in it is what the service reads.")
    reload: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments, run without a shell: [nginx, -s, reload]."
    )
    check: tuple[str, ...] = Field(default=(), description="Run before the reload: [nginx, -t].")
    pin_file: Path | None = Field(
        default=None, description="The token's PIN, as the service reads it, for keys that stay in a token."
    )
    reload_timeout_s: float = Field(default=30.0, gt=0, le=60, description="How long it may take.")
    keep_versions: PositiveInt = Field(default=3, description="How many earlier versions stay in the folder.")
    verify: VerifyAt
