"""Claims about CAs: one that has revoked a certificate by itself, and one that is down."""

from cli.demo.oracle import served
from cli.demo.proofs import Proof, expect, wait_for
from cli.demo.renewing import Renewing, short
from cli.dev import layout
from cli.dev.process import listening

SHOP = "shop.example.com"
_NONCES_TRIED = 10


class Issuers(Renewing):
    def revoked(self, p: Proof) -> None:
        port, roots = self.stack.ports.shop, self.stack.ca.trust_file
        before = served(port, SHOP, roots)
        self._revoke_at_the_ca()
        # A worker keeps a CA's word for as long as the CA says, which is hours here. A new one asks.
        self._worker().stop()
        self._worker().start()
        wait_for(lambda: self._serves_another(before), 180, "another certificate on the shop's server")
        after = served(port, SHOP, roots)
        p.seen = (
            f"{before[:12]} is revoked by its own key, the worker started anew → {after[:12]} by the sweep"
        )
        p.link = self._page("certificate-renewal/shop")

    def first_ca_down(self, p: Proof) -> None:
        self.stack.part("pebble").stop()
        acme = self.stack.ports.acme
        expect(not listening(acme), f"something still listens on the first CA's port {acme}")
        code, ended = self._run(p, force=True, certificate="shop")
        expect(code == 0, f"the run failed: {ended}")
        # Verified against the second CA's root and no other.
        shown = served(self.stack.ports.shop, SHOP, self.stack.local_root)
        told = ended["result"]["fingerprints"][layout.SHOP]
        expect(shown == told, f"served is {shown}, and the run tells of {told}")
        p.seen = f"nobody listens on port {acme}; {short({'': shown})} chains to the root of the CA `local`"

    def _serves_another(self, before: str) -> bool:
        try:
            return served(self.stack.ports.shop, SHOP, self.stack.ca.trust_file) != before
        except OSError:
            return False

    def _revoke_at_the_ca(self) -> None:
        """As whoever holds the certificate's key can (RFC 8555, 7.6): without Redoubt and its account."""
        from acme import messages  # noqa: PLC0415 - loads only for this claim
        from acme.client import ClientNetwork, ClientV2  # noqa: PLC0415 - as above
        from cryptography import x509  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above
        from josepy.jwa import ES256  # noqa: PLC0415 - as above
        from josepy.jwk import JWKEC  # noqa: PLC0415 - as above

        current = self.stack.sites[layout.SHOP].target / "current"
        leaf = x509.load_pem_x509_certificates((current / "fullchain.pem").read_bytes())[0]
        key = JWKEC(key=load_pem_private_key((current / "key.pem").read_bytes(), password=None))
        network = ClientNetwork(key, alg=ES256, verify_ssl=str(self.stack.ca.ca_file))  # type: ignore[arg-type]
        url = self.stack.ca.directory
        client = ClientV2(ClientV2.get_directory(url, network), network)
        for tried in range(1, _NONCES_TRIED + 1):
            try:
                client.revoke(leaf, 1)
            except messages.Error as error:
                # Pebble refuses a share of the nonces, so that clients learn to live with it.
                if error.code != "badNonce" or tried == _NONCES_TRIED:
                    raise
            else:
                return
