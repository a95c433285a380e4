"""The local CA with its key in a token: what it issues and what it lists are signed there."""

from pathlib import Path

from cryptography import x509

from cli.dev.servers import Token
from clients.issuers.local import LocalCa
from clients.keystores.pkcs11 import Pkcs11KeyStore
from clients.revocation.crl import RevocationLists
from clients.secrets.resolver import Secrets
from schemas.revocations import RevocationReason
from schemas.settings.issuers import LocalIssuer
from tests.servers.orders import Beats, names_of_ones_own, request


def test_a_list_that_a_token_has_signed_tells_what_is_revoked(softhsm: Token, tmp_path: Path) -> None:
    keys = Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, lambda: Secrets().resolve(softhsm.pin_ref))
    url = "http://pki.example.com/crl.der"
    given = LocalIssuer(kind="local", path=str(tmp_path / "ca"), key_store="hsm", crl_url=url)
    ca, names = LocalCa("local", given, keys), names_of_ones_own()
    order = ca.place_order(names).url
    ca.finalize(order, request(names), Beats())
    chain = ca.certificate(order)
    lists = RevocationLists(lambda at: ca.crl_at(at) or b"")
    assert lists.status(chain, ca.trust_anchors()).state == "good"
    ca.revoke(chain, RevocationReason.KEY_COMPROMISE)
    again = RevocationLists(lambda at: ca.crl_at(at) or b"").status(chain, ca.trust_anchors())
    assert (again.state, again.reason) == ("revoked", "keyCompromise")
    root = x509.load_pem_x509_certificate(ca.trust_anchors())
    (key,) = [one for one in keys.list() if one.label == "local CA local"]
    assert keys.custody(bytes.fromhex(key.key_id)).local
    assert x509.load_der_x509_crl(ca.crl()).is_signature_valid(root.public_key())  # type: ignore[arg-type]  # it is EC
