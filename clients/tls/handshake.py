"""A handshake of ours, counted: how it ended, and why if it failed."""

import ssl
from typing import Any, cast

import structlog

from clients.tls.counting import Counts
from rules.tls import NO_CERTIFICATE_YET, reason
from schemas.certificates import CertificateFacts

_log = structlog.get_logger("clients.tls")


class CountedHandshake(ssl.SSLObject):
    """One side of a connection to us."""

    def do_handshake(self) -> None:
        context = cast("ServedContext", self.context)
        counts = context.counts
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLCertVerificationError as error:
            _failed(counts, reason(error.reason, error.verify_code))
            raise
        except ssl.SSLError as error:
            _failed(counts, reason(error.reason) if context.version else NO_CERTIFICATE_YET)
            raise
        counts.done(resumed=bool(self.session_reused))


def _failed(counts: Counts, why: str) -> None:
    counts.failed(why)
    _log.info("a TLS handshake failed", why=why)


class ServedContext(ssl.SSLContext):
    """The context of one certificate. It never changes once it is described: another certificate has another."""

    sslobject_class = CountedHandshake
    counts: Counts
    facts: CertificateFacts
    leaf: str
    """PEM of what is shown."""
    version = ""
    """The version's name in its folder; empty until it is described, and without a certificate."""

    def describe(self, facts: CertificateFacts, chain: bytes, version: str) -> None:
        self.facts = facts
        self.version = version
        self.leaf = (
            chain.decode("ascii").partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        )

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        self.counts.begun()
        return super().wrap_bio(*args, **options)
