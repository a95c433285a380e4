"""Revokes at an ACME CA (RFC 8555, 7.6), by the account that ordered; what is revoked already stays so."""

from acme import messages
from acme.client import ClientV2
from cryptography import x509

from rules.points import reached
from schemas.errors import CaRefused
from schemas.revocations import RevocationReason


def revoke(name: str, client: ClientV2, chain: bytes, reason: RevocationReason) -> None:
    """The leaf of a PEM chain. Raises `CaRefused` where it can't be read, and else what the CA answers."""
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError as error:
        raise CaRefused(f"The certificate that {name} shall revoke can't be read.") from error
    try:
        client.revoke(leaf, reason.code)
    except messages.Error as error:
        if error.code != "alreadyRevoked":
            raise
    reached("revocation.answered")
