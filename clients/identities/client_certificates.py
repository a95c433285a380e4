"""Client certificates: the policy names the SHA-256 of a certificate's public key (SPKI in DER).

The TLS layer has verified the certificate and that the client holds its key. A renewed certificate on the same key is
the same principal.
"""

import hashlib
import hmac

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clients.identities import Presented
from schemas.errors import NotAuthenticated
from schemas.policies import Policy
from schemas.principals import Principal, Shown


class ClientCertificates:
    @staticmethod
    async def principal(policy: Policy, presented: Presented) -> Principal | None:
        if presented.client_certificate is None:
            return None
        given = fingerprint(presented.client_certificate)
        for name, entry in policy.principals.items():
            if any(hmac.compare_digest(known, given) for known in entry.client_certificates):
                return Principal(name=name, shown=Shown.CLIENT_CERTIFICATE)
        raise NotAuthenticated("The client certificate's key is not one that the policy names.")


def fingerprint(pem: str) -> str:
    """SHA-256 of the certificate's SubjectPublicKeyInfo. Raises `NotAuthenticated` if this is no certificate."""
    try:
        key = x509.load_pem_x509_certificate(pem.encode("ascii")).public_key()
    except ValueError:
        raise NotAuthenticated("What the TLS layer has as the client's certificate is none.") from None
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
