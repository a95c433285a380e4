"""What a TLS listener decides: which certificate a name gets, and what a failed handshake is counted as.

Also what a client offers in the first message of a handshake, as far as we ask.

- A name gets the first certificate that carries it, exactly or by a wildcard of one label; a client that names
  nothing gets the first; a name that none carries gets none, and its handshake is refused.
- The reasons are a closed list, so that a stranger can't make up new time series in the metrics.
"""

from collections.abc import Sequence
from typing import Final

OTHER: Final = "other"
NO_CERTIFICATE_YET: Final = "no-certificate-yet"
"""Of ours: the library would call it an old TLS version, since without a certificate it speaks no TLS 1.3."""
NO_CLIENT_CERTIFICATE: Final = "no-client-certificate"

_VERIFY: Final = {
    3: "no-crl",
    9: "client-certificate-not-yet-valid",
    10: "client-certificate-expired",
    12: "crl-expired",
    18: "client-ca-unknown",
    19: "client-ca-unknown",
    20: "client-ca-unknown",
    21: "client-ca-unknown",
    23: "client-certificate-revoked",
    26: "client-certificate-unsuitable",
}
"""X.509 verification codes of OpenSSL (X509_V_ERR_…)."""

_PROTOCOL: Final = {
    "UNSUPPORTED_PROTOCOL": "old-tls-version",
    "WRONG_VERSION_NUMBER": "no-tls",
    "HTTP_REQUEST": "no-tls",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": NO_CLIENT_CERTIFICATE,
    "NO_SHARED_CIPHER": "no-shared-cipher",
    "NO_SUITABLE_KEY_SHARE": "no-shared-group",
    "NO_SUITABLE_GROUPS": "no-shared-group",
    "CALLBACK_FAILED": "unknown-name",
    "CLIENTHELLO_TLSEXT": "unknown-name",
    "UNEXPECTED_EOF_WHILE_READING": "gone",
}

REASONS: Final = frozenset(
    {
        *_VERIFY.values(),
        *_PROTOCOL.values(),
        "refused-by-client",
        "client-certificate-refused",
        NO_CERTIFICATE_YET,
        OTHER,
    }
)


def reason(library_reason: str | None, verify_code: int | None = None) -> str:
    """One of `REASONS` for OpenSSL's reason, and for its verification code if a certificate was at fault."""
    if verify_code is not None:
        return _VERIFY.get(verify_code, "client-certificate-refused")
    if library_reason is None:
        return OTHER
    if "_ALERT_" in library_reason:
        return "refused-by-client"
    return _PROTOCOL.get(library_reason, OTHER)


def chosen(server_name: str | None, carried: Sequence[Sequence[str]]) -> int | None:
    """Which of the certificates, each given by its names, this server name gets; None: none of them."""
    if server_name is None:
        return 0
    asked = server_name.lower().rstrip(".")
    return next((at for at, names in enumerate(carried) if any(_covers(one, asked) for one in names)), None)


def _covers(name: str, asked: str) -> bool:
    name = name.lower()
    if name.startswith("*."):
        label, dot, rest = asked.partition(".")
        return bool(label and dot) and rest == name[2:]
    return name == asked


_SUPPORTED_GROUPS: Final = 10
_BEFORE_SESSION_ID: Final = 5 + 4 + 2 + 32
"""Headers of record and handshake, version and random (RFC 8446, 4.1.2)."""


def supported_groups(hello: bytes) -> tuple[int, ...]:
    """The numbers of the groups that a ClientHello in one record offers. Raises `ValueError` if it is none."""
    try:
        at = _BEFORE_SESSION_ID
        at += 1 + hello[at]
        at += 2 + _number(hello, at)
        at += 1 + hello[at]
        end = at + 2 + _number(hello, at)
        at += 2
        while at < end:
            kind, length = _number(hello, at), _number(hello, at + 2)
            if kind == _SUPPORTED_GROUPS:
                return tuple(_number(hello, one) for one in range(at + 6, at + 4 + length, 2))
            at += 4 + length
    except IndexError:
        raise ValueError("it is no ClientHello") from None
    return ()


def _number(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]
