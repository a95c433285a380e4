"""An order from first to last whose certificate is checked and thrown away: nothing is kept, and nothing switched."""

from collections.abc import Callable
from datetime import UTC, datetime

from clients.issuers import Issuer
from clients.x509 import X509Reader
from rules.certificates import problems
from schemas.errors import CertificateRejected


def rehearse(issuer: Issuer, names: tuple[str, ...], csr: bytes, beat: Callable[[], None]) -> None:
    """Raises what a step raises, and `CertificateRejected` with everything that is wrong with what was issued."""
    url = issuer.place_order(names).url
    issuer.prove_control(url, beat)
    issuer.finalize(url, csr, beat)
    reader = X509Reader()
    issued = reader.read(issuer.certificate(url), issuer.trust_anchors())
    wrong = problems(issued, names, reader.requested_key(csr), (), datetime.now(UTC))
    if wrong:
        raise CertificateRejected(f"What {issuer.name} issued in the rehearsal is wrong: {'; '.join(wrong)}.")
