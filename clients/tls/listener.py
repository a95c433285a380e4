"""The context that a listener is given: each new handshake uses what lies in the files then.

Invariants:
- A connection keeps the context that it began with: nothing that changes in the files reaches into it.
- A changed certificate replaces its own context alone; changed roots or CRLs replace every context, and with them
  the keys of all session tickets, so that nobody resumes what would not be let in any more.
- What can't be loaded is refused, logged and counted once, and what was served before is served on. At the start
  there is nothing before, and the listener does not open. Only a folder that has no first certificate yet is no
  obstacle: its renewal is verified by a handshake with this very listener. Until then handshakes are refused.
- A folder whose newest version can't be used does not keep changed roots or CRLs from being taken over.
- Looking costs one `readlink` a certificate and one `stat` a trust file at a new handshake, and no read.
"""

import errno
import ssl
from pathlib import Path
from typing import Any, Self

import structlog

from clients.tls.counting import Counts
from clients.tls.handshake import ServedContext
from clients.tls.material import (
    Seen,
    Trust,
    certificate_seen,
    load_certificate,
    read_trust,
    trust_seen,
    without_certificate,
)
from rules.tls import chosen
from schemas.certificates import CertificateFacts
from schemas.errors import InvalidSettings, RedoubtError
from schemas.settings.tls import ListenerTls

_log = structlog.get_logger("clients.tls")
_UNUSABLE = (OSError, ValueError, RedoubtError)
"""What unusable files raise; `ssl.SSLError` is an `OSError`."""


class ListenerContext(ssl.SSLContext):
    """For asyncio's and uvicorn's servers; used from the one thread of their event loop."""

    def __new__(cls, _given: ListenerTls, _counts: Counts) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, given: ListenerTls, counts: Counts) -> None:
        """Raises `InvalidSettings` if something can't be used as it lies there."""
        self.counts = counts
        self._given = given
        self._tried: dict[str, Seen] = {
            one.directory: certificate_seen(one.directory) for one in given.certificates
        }
        self._tried_trust = trust_seen(given)
        try:
            self._trust = read_trust(given)
            self._held = {one.directory: self._load(one.directory, self._trust) for one in given.certificates}
            self._nothing = without_certificate(self._trust, counts)
        except _UNUSABLE as error:
            raise InvalidSettings(f"TLS can't be served: {_told(error)}") from error

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """What asyncio calls for each connection."""
        self.look()
        return next(iter(self._served()), self._nothing).wrap_bio(*args, **options)

    def shown(self) -> list[CertificateFacts]:
        """What is served now, in the order of the settings."""
        return [context.facts for context in self._served()]

    def look(self) -> None:
        """Take over what has changed in the files since the last look."""
        if (seen := trust_seen(self._given)) != self._tried_trust:
            self._tried_trust = seen
            self._take_trust()
        for directory in self._held:
            if (seen := certificate_seen(directory)) != self._tried[directory]:
                self._tried[directory] = seen
                self._take_certificate(directory)

    def _served(self) -> list[ServedContext]:
        return [context for context in self._held.values() if context is not None]

    def _take_trust(self) -> None:
        try:
            trust = read_trust(self._given)
            held = {
                directory: context and self._load(directory, trust, context.version)
                for directory, context in self._held.items()
            }
            nothing = without_certificate(trust, self.counts)
        except _UNUSABLE as error:
            self._refuse("trust", error)
            return
        self._trust, self._held, self._nothing = trust, held, nothing
        self.counts.taken("trust", accepted=True)
        _log.info("changed roots or CRLs of clients are used from here on")

    def _take_certificate(self, directory: str) -> None:
        before = self._held[directory]
        what = before.facts.names[0] if before else Path(directory).name
        try:
            context = self._load(directory, self._trust)
            if context is None:
                raise FileNotFoundError(errno.ENOENT, "No current certificate", directory)
        except _UNUSABLE as error:
            self._refuse(what, error)
            return
        self._held[directory] = context
        self.counts.taken(what, accepted=True)
        now = context.facts
        _log.info("a changed certificate is served", names=now.names, fingerprint=now.fingerprint)

    def _load(self, directory: str, trust: Trust, version: str | None = None) -> ServedContext | None:
        """None: the folder has no current certificate."""
        context = load_certificate(directory, trust, self.counts, version)
        if context is None:
            return None
        if not context.facts.names:
            raise ValueError(f"the certificate in {directory} carries no name")
        context.sni_callback = self._by_name
        self.counts.served(context.facts.names[0], context.facts.not_after.timestamp())
        return context

    def _refuse(self, what: str, error: Exception) -> None:
        self.counts.taken(what, accepted=False)
        _log.error(
            "a changed file is not used: what was served before is served on", what=what, why=_told(error)
        )

    def _by_name(
        self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        held = self._served()
        at = chosen(name, [context.facts.names for context in held])
        if at is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if connection.context is not held[at]:
            connection.context = held[at]
        return None


def _told(error: Exception) -> str:
    if isinstance(error, RedoubtError):
        return error.in_full
    if isinstance(error, ssl.SSLError):
        return f"OpenSSL refuses a file ({error.reason or 'not PEM'})."
    if isinstance(error, OSError):
        where = (
            error.filename or "a folder or file of its certificates (mode 0700 for folders, 0600 for files)"
        )
        return f"{error.strerror}: {where}."
    return f"{error}."
