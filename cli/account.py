"""`redoubt certs account-rollover`: the account at an ACME CA gets another key, while workers go on.

The settings must name the new key first, as `next_account_key`: workers that know both keys go on whichever of them
the CA holds good, and a worker that knows the old one alone would make a new account with it. The command may be
killed and called again: it finds out what the CA has done.
"""

from typing import Annotated

import typer

from cli.output import say
from clients.issuers import ChangesAccountKey
from clients.settings import load
from schemas.errors import InvalidSettings
from schemas.settings.issuers import AcmeIssuer
from workers.wiring import Wiring


def account_rollover(
    issuer: Annotated[str, typer.Argument(metavar="ISSUER", help="The issuer, as the settings name it.")],
    new_key: Annotated[
        str, typer.Option("--new-key", help="Reference to the new key, as next_account_key has it.")
    ],
) -> None:
    """Change the key of an ACME account; called again, it only says that it is done."""
    settings = load()
    given = settings.issuers.get(issuer)
    if not isinstance(given, AcmeIssuer):
        raise InvalidSettings(f"issuers.{issuer} is no ACME issuer of the settings.")
    if new_key not in {given.next_account_key, given.account_key}:
        raise InvalidSettings(
            f"issuers.{issuer}.next_account_key is not this reference. Set it and restart the workers, so that they "
            "know both keys while the CA changes from one to the other."
        )
    if new_key == given.account_key:
        say(f"The settings use this key as issuers.{issuer}.account_key: nothing is to be done.")
        return
    wiring = Wiring(settings)
    changing = wiring.issuer(issuer)
    if not isinstance(changing, ChangesAccountKey):
        raise InvalidSettings(f"issuers.{issuer} has no account.")
    done = changing.change_account_key(wiring.secrets().resolve(new_key))
    say("The CA has changed the account's key." if done else "The CA had changed the account's key before.")
    say(
        f"Now set issuers.{issuer}.account_key to this reference, take next_account_key out, restart the workers, and "
        "then destroy the old key."
    )
