"""Keys and policies for the tests of who may do what."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clients.identities.requesting import signed_request
from clients.signers import Signer
from clients.signers.fido2 import Fido2Signer, Prompts, enroll
from clients.signers.file import FileSigner
from rules.requests import Facing
from schemas.policies import Grant, OidcIdentity, Policy, PrincipalEntry, Role
from schemas.principals import Act, Principal, Shown, SignedRequest
from schemas.signing_keys import SigningKey
from tests.servers.fido2_key import SoftwareKey

FACING = Facing("test", "default", Act.START, "CertificateRenewal", "certificate-renewal/www", "a" * 64)


def pem() -> bytes:
    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_of(signer: Signer, name: str) -> SigningKey:
    return signer.key.model_copy(update={"id": name})


class Generated:
    """A source of secrets in which every reference leads to a new key."""

    def resolve(self, reference: str) -> bytes:  # noqa: ARG002 - the port's
        return pem()


def fido2_signer(name: str, device: SoftwareKey | None = None) -> Signer:
    """A FIDO2 key of its own, unless the test has one."""
    plugged, prompts = device or SoftwareKey(), Prompts(lambda: "", lambda: None)
    credential = enroll(f"{name}-1", name, "redoubt.example.com", plugged, prompts)
    return Fido2Signer(credential, plugged, prompts)


ANNA, API = (FileSigner("own", "env:KEY", Generated()) for _ in range(2))
ADMIN, SECOND = fido2_signer("root"), fido2_signer("deputy")


def policy(*grants: Grant, **changes: Any) -> Policy:
    people = {
        "anna": PrincipalEntry(signing_keys=(key_of(ANNA, "anna-1"),)),
        "ben": PrincipalEntry(oidc=(OidcIdentity(issuer="https://login.example.com", subject="ben"),)),
        "service:api": PrincipalEntry(
            signing_keys=(key_of(API, "api-1"),), vouches_for=frozenset({Shown.OIDC})
        ),
        "root": PrincipalEntry(signing_keys=(key_of(ADMIN, "root-1"),)),
        "deputy": PrincipalEntry(signing_keys=(key_of(SECOND, "deputy-1"),)),
    }
    admins = Grant(role=Role.ADMIN, principals=("root", "deputy"))
    base = Policy(installation="test", version=1, principals=people, grants=(admins, *grants))
    return base.model_copy(update=changes)


def request(
    signer: Signer = ANNA,
    principal: Principal | None = None,
    facing: Facing = FACING,
) -> SignedRequest:
    return signed_request(signer, principal or Principal(name="anna", shown=Shown.SIGNING_KEY), facing)
