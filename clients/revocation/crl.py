"""The port `Revocations` by revocation lists: fetched where the certificate says, verified, and kept while they count.

- Each address of the certificate is tried in turn until one gives an answer; a delta list is heeded where the
  certificate or its list names one, and one that can't be had leaves the answer unknown.
- A list is kept until it ends, and at most for `longest`: so a revocation is noticed soon, however long lists live.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.revocation import RevocationStatus
from clients.revocation.lists import (
    UNREADABLE,
    NoAnswer,
    RevokedEntry,
    addresses,
    entry,
    fresher,
    is_delta,
    issuer_of,
    list_from,
    refuse_other_base,
)
from rules.revocation import kept_until
from schemas.errors import RedoubtError

_MAX_KEPT = 64
_MAX_ADDRESSES = 4
_REMOVED = "removeFromCRL"

Fetch = Callable[[str], bytes]
"""The list at a URL that came from outside: bounded in size and time. Raises an error of the catalogue."""

List = x509.CertificateRevocationList


class RevocationLists:
    def __init__(
        self,
        fetch: Fetch,
        longest: timedelta = timedelta(minutes=10),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._fetch = fetch
        self._longest = longest
        self._now = now
        self._kept: dict[tuple[str, bytes], tuple[datetime, List]] = {}
        self._keeping = threading.Lock()

    def status(self, chain: bytes, anchors: bytes = b"") -> RevocationStatus:
        try:
            certificates = x509.load_pem_x509_certificates(chain)
            trusted = x509.load_pem_x509_certificates(anchors) if anchors.strip() else []
        except UNREADABLE:
            return RevocationStatus(state="unknown", why="its chain can't be read")
        try:
            leaf = certificates[0]
            return self._answer(leaf, issuer_of(leaf, [*certificates[1:], *trusted]))
        except NoAnswer as none:
            return RevocationStatus(state="unknown", why=str(none))

    def _answer(self, leaf: x509.Certificate, issuer: x509.Certificate) -> RevocationStatus:
        urls = addresses(leaf)[:_MAX_ADDRESSES]
        if not urls:
            raise NoAnswer("it names no revocation list")
        reasons: list[str] = []
        for url in urls:
            try:
                return _said(self._entry(leaf, issuer, url))
            except NoAnswer as none:
                reasons.append(str(none))
        raise NoAnswer("; ".join(dict.fromkeys(reasons)))

    def _entry(self, leaf: x509.Certificate, issuer: x509.Certificate, url: str) -> RevokedEntry | None:
        base = self._list(url, issuer)
        if is_delta(base):
            raise NoAnswer("its revocation list is only a delta list")
        found = entry(base, leaf.serial_number)
        for delta_url in fresher(leaf, base)[:1]:
            delta = self._list(delta_url, issuer)
            refuse_other_base(base, delta)
            changed = entry(delta, leaf.serial_number)
            if changed is not None:
                found = None if changed.reason == _REMOVED else changed
        return found

    def _list(self, url: str, issuer: x509.Certificate) -> List:
        key, now = (url, issuer.public_bytes(Encoding.DER)), self._now()
        with self._keeping:
            until, kept = self._kept.get(key, (now, None))
        if kept is not None and now < until:
            return kept
        try:
            content = self._fetch(url)
        except RedoubtError as error:
            raise NoAnswer(f"its revocation list can't be had: {error.in_full}") from error
        read = list_from(content, url, issuer, now)
        if read.next_update_utc is None:
            raise NoAnswer("its revocation list does not say when it ends")
        with self._keeping:
            while len(self._kept) >= _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = (kept_until(read.next_update_utc, now, self._longest), read)
        return read


def _said(found: RevokedEntry | None) -> RevocationStatus:
    if found is None:
        return RevocationStatus(state="good")
    return RevocationStatus(state="revoked", reason=found.reason, at=found.at)
