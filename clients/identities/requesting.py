"""Makes signed requests: for a person at the command line, for the API that vouches, for a service of our own."""

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from clients.signers import Signer
from rules.requests import Facing, fingerprint_of, statement
from schemas.principals import Principal, SignedRequest

GOOD_FOR: Final = timedelta(minutes=15)
"""From a person's command until Temporal has taken it up; no worker need be there in this time."""


def signed_request(
    signer: Signer,
    principal: Principal,
    facing: Facing,
    good_for: timedelta = GOOD_FOR,
    on_behalf_of: str = "",
) -> SignedRequest:
    """A request of `principal` for exactly what `facing` says; `on_behalf_of`: the operation that starts it."""
    now = datetime.now(UTC)
    unsigned = SignedRequest(
        **facing._asdict(),
        on_behalf_of=on_behalf_of,
        principal=principal,
        issued_at=now,
        expires=now + good_for,
        nonce=secrets.token_hex(16),
        key_id=fingerprint_of(signer.key),
        signature="AAAA",
    )
    signature = base64.b64encode(signer.sign(statement(unsigned))).decode()
    return unsigned.model_copy(update={"signature": signature})
