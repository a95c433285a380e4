"""Our own records: the database, and the evidence log in it."""

from pydantic import Field, PositiveFloat, field_validator

from schemas.contract import Contract
from schemas.references import SecretRef
from schemas.settings.names import Path


class StoreSettings(Contract):
    url: str = Field(
        default="sqlite:///redoubt.sqlite",
        description="SQLAlchemy URL of the records: sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE.",
    )
    password: SecretRef | None = Field(default=None, description="Password of the database user.")

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        authority = url.partition("://")[2].partition("/")[0]
        if ":" in authority.rpartition("@")[0]:
            raise ValueError("the URL holds a password: put it behind `password` as a reference")
        return url


class EvidenceSettings(Contract):
    origin: str = Field(
        default="redoubt.invalid/log",
        pattern=r"^[^\s+]{1,255}$",
        description="The log's name in its checkpoints (C2SP tlog-checkpoint): a schema-less URL of yours.",
    )
    log_key: SecretRef = Field(
        default="file:secrets/log-key",
        description="32 bytes in hexadecimal: the seed of the log's Ed25519 key.",
    )
    spool: Path = Field(default="spool", description="Folder where undo is recorded while the store is away.")
    spool_key: SecretRef = Field(
        default="file:secrets/spool-key", description="32 bytes in hexadecimal: signs what is spooled."
    )
    sequence_every_s: PositiveFloat = Field(default=1.0, description="How often rows move into the log.")
