"""The key that a person signs with at the command line: an Ed25519 file by reference, or a key in a token."""

from typing import Annotated, Final

import typer

from clients.signers import Signer
from rules.requests import SERVICE
from schemas.errors import InvalidInput
from schemas.principals import Principal, Shown
from schemas.settings import Settings
from workers.wiring import Wiring

As = Annotated[str, typer.Option("--as", metavar="NAME", help="Sign as this principal of the policy.")]
Key = Annotated[
    str,
    typer.Option("--key", metavar="FILE", help="Your Ed25519 key (PKCS#8, mode 0600), or a reference to it."),
]
Token = Annotated[
    str,
    typer.Option("--token", metavar="STORE/ID", help="Your P-256 key in a key store: its name and CKA_ID."),
]

_OWN: Final = "own"
"""A signer that knows no name of the policy's; its key is found by its fingerprint."""

_SCHEMES: Final = ("file:", "env:", "vault:")


def signer_of(wiring: Wiring, key: str, token: str = "") -> Signer:
    """Raises `InvalidInput` unless one of the two is given."""
    if bool(key) == bool(token):
        raise InvalidInput("Give the key to sign with: either --key or --token.")
    if key:
        from clients.signers.file import FileSigner  # noqa: PLC0415  # only who signs pays for it

        reference = key if key.startswith(_SCHEMES) else f"file:{key}"
        return FileSigner(_OWN, reference, wiring.secrets())
    from clients.signers.pkcs11 import TokenSigner  # noqa: PLC0415  # see above

    store, _, stored = token.partition("/")
    try:
        return TokenSigner(_OWN, wiring.key_store(store), bytes.fromhex(stored))
    except ValueError:
        raise InvalidInput(
            "--token is a key store's name, a slash and the key's ID in hexadecimal."
        ) from None


def who_signs(settings: Settings, name: str, key: str) -> tuple[Principal, str] | None:
    """The principal and the reference to its key, from the options or else the settings; None: nobody signs."""
    if bool(name) != bool(key):
        raise InvalidInput("--as and --key are given together.")
    given = settings.policy
    name, key = (name, key) if name else (given.sign_as or "", given.sign_with or "")
    if not name:
        return None
    shown = Shown.SERVICE if name.startswith(SERVICE) else Shown.SIGNING_KEY
    return Principal(name=name, shown=shown), key
