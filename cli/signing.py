"""The key that a person signs with at the command line, chosen in one way by every command that signs.

`--key` is a file or a reference, `--token` a key behind PKCS#11, `--fido2` a FIDO2 key that is plugged in. At most one
of them is given; where none is, the settings' `policy.sign_as` and the key beside it stand in, if the command asks
who signs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer
from pydantic import ValidationError

from cli.output import say
from clients.secrets.files import MAX_SECRET_BYTES
from clients.signers import Signer
from rules.requests import SERVICE
from schemas.errors import InvalidInput
from schemas.principals import Principal, Shown
from schemas.settings import Settings
from schemas.signing_keys import SigningKey
from workers.wiring import Wiring

if TYPE_CHECKING:
    from clients.signers.fido2 import Credential, Prompts

As = Annotated[str, typer.Option("--as", metavar="NAME", help="Sign as this principal of the policy.")]
Key = Annotated[
    str,
    typer.Option("--key", metavar="FILE", help="Your Ed25519 key (PKCS#8, mode 0600), or a reference to it."),
]
Token = Annotated[
    str,
    typer.Option("--token", metavar="STORE/ID", help="Your P-256 key in a key store: its name and CKA_ID."),
]
Fido2 = Annotated[
    Path | None,
    typer.Option(
        "--fido2", metavar="FILE", help="Your FIDO2 key, by the file that `approvals enroll` wrote."
    ),
]

Yes = Annotated[bool, typer.Option("--yes", help="Don't ask: you have read it elsewhere.")]

_OWN: Final = "own"
"""A signer that knows no name of the policy's; its key is found by its fingerprint."""

_SCHEMES: Final = ("file:", "env:", "vault:")


class Chosen(NamedTuple):
    """One key, by the option that names it."""

    key: str = ""
    token: str = ""
    fido2: Path | None = None


class Signing(NamedTuple):
    """Who signs, and by which key."""

    who: Principal
    chosen: Chosen


def signer_of(wiring: Wiring, chosen: Chosen) -> Signer:
    """Raises `InvalidInput` unless exactly one key is chosen."""
    _refuse_unless_one(chosen)
    if chosen.key:
        from clients.signers.file import FileSigner  # noqa: PLC0415  # only who signs pays for it

        reference = chosen.key if chosen.key.startswith(_SCHEMES) else f"file:{chosen.key}"
        return FileSigner(_OWN, reference, wiring.secrets())
    if chosen.fido2 is not None:
        from clients.signers.fido2 import Fido2Signer, plugged_in  # noqa: PLC0415  # see above

        return Fido2Signer(credential(chosen.fido2), plugged_in(), prompts())
    return _in_store(wiring, chosen.token)


def public_of(wiring: Wiring, chosen: Chosen) -> SigningKey:
    """The key's line for the policy. That of a FIDO2 key stands in its file: nothing needs to be plugged in."""
    _refuse_unless_one(chosen)
    return signer_of(wiring, chosen).key if chosen.fido2 is None else credential(chosen.fido2).key


def _refuse_unless_one(chosen: Chosen) -> None:
    if sum(map(bool, chosen)) != 1:
        raise InvalidInput("Give one key to sign with: --key, --token or --fido2.")


def _in_store(wiring: Wiring, token: str) -> Signer:
    from clients.signers.pkcs11 import TokenSigner  # noqa: PLC0415  # see above

    store, _, stored = token.partition("/")
    try:
        return TokenSigner(_OWN, wiring.key_store(store), bytes.fromhex(stored))
    except ValueError:
        raise InvalidInput(
            "--token is a key store's name, a slash and the key's ID in hexadecimal."
        ) from None


def credential(file: Path) -> "Credential":
    """What `redoubt approvals enroll` wrote. Raises `InvalidInput`."""
    from clients.signers.fido2 import Credential  # noqa: PLC0415  # see above

    try:
        with file.open("rb") as stream:
            return Credential.model_validate_json(stream.read(MAX_SECRET_BYTES))
    except (OSError, ValidationError):
        raise InvalidInput(f"{file.name} is no file of `redoubt approvals enroll`.") from None


def prompts() -> "Prompts":
    """How a FIDO2 key's owner is asked, in this terminal."""
    from clients.signers.fido2 import Prompts  # noqa: PLC0415  # see above

    return Prompts(
        lambda: typer.prompt("PIN of the FIDO2 key", hide_input=True, err=True),
        lambda: say("Touch the FIDO2 key."),
    )


def who_signs(settings: Settings, name: str, chosen: Chosen) -> Signing | None:
    """Who signs by which key, from the options or else the settings; None: nobody signs."""
    if bool(name) != any(chosen):
        raise InvalidInput("--as is given together with one of --key, --token and --fido2.")
    given = settings.policy
    if not name:
        fido2 = None if given.sign_with_fido2 is None else Path(given.sign_with_fido2)
        name, chosen = given.sign_as or "", Chosen(given.sign_with or "", given.sign_with_token or "", fido2)
    if not name:
        return None
    shown = Shown.SERVICE if name.startswith(SERVICE) else Shown.SIGNING_KEY
    return Signing(Principal(name=name, shown=shown), chosen)
