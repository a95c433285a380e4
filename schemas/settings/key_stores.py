"""Where private keys live, and which key a certificate has."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.contract import Contract
from schemas.references import SecretRef
from schemas.settings.names import Path

KeyAlgorithm = Literal["EC-P256", "EC-P384", "RSA-2048", "RSA-3072"]


class Pkcs11Store(Contract):
    kind: Literal["pkcs11"]
    module: Path = Field(description="The vendor's PKCS#11 module, e.g. /usr/lib/softhsm/libsofthsm2.so")
    token: str = Field(description="The token's label.")
    pin: SecretRef = Field(description="The token's user PIN; a wrong one is never tried again.")


class SoftwareStore(Contract):
    kind: Literal["software"]
    path: Path = Field(description="Folder of the encrypted key files, mode 0700.")
    master_key: SecretRef = Field(description="32 bytes in hexadecimal.")


KeyStoreSettings = Annotated[Pkcs11Store | SoftwareStore, Field(discriminator="kind")]


class KeyPolicy(Contract):
    algorithm: KeyAlgorithm = Field(default="EC-P256", description="Algorithm and size of the key.")
    holder: str = Field(
        default="target",
        description="`target`: each target makes its own key, which never leaves it; else the name of a key store.",
    )
