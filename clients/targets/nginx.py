"""The lines that tell nginx what to serve, from values that can't become directives.

Nothing is escaped: what holds a sign outside a short list is refused. In nginx's double quotes a backslash, a
quote, a `$` (a variable) or a line break would have a meaning; none is in the list.

A key in a key store is named by an RFC 7512 URI that OpenSSL's engine `pkcs11` (libp11) reads. libp11 0.4 refuses
attributes that it does not know, takes the PIN by `pin-source=file:PATH`, and reads at most 31 bytes of that
file with its line break: a longer PIN, or one that ends in a line break, is a wrong PIN to the token.
"""

import re
from pathlib import Path
from urllib.parse import unquote

from schemas.errors import KeyUnsuitable, TargetUnreachable

_PATH = re.compile(r"/[A-Za-z0-9._/@+=,:-]*")
_URI = re.compile(r"pkcs11:[A-Za-z0-9._~%:/@+,=&;?-]+")
_KNOWN_TO_LIBP11 = frozenset(
    {"model", "manufacturer", "token", "serial", "object", "id", "type", "object-type", "pin-source"}
)
_LONGEST_PIN = 31

REJECT_WITHOUT = "ssl_reject_handshake on;"
"""Stands in nginx's `http` block; a version's file turns it off: without one, nginx runs and refuses."""


def lines(certificate: str, key: str) -> bytes:
    """`nginx.conf` of a version; both values stand in double quotes."""
    return (
        f'ssl_certificate "{certificate}";\nssl_certificate_key "{key}";\nssl_reject_handshake off;\n'
    ).encode("ascii")


def path(target: str, text: str) -> str:
    """An absolute path that stands for itself in nginx's configuration."""
    if not _PATH.fullmatch(text):
        raise TargetUnreachable(
            f"Target {target}: a path of its settings must be absolute and hold only letters, digits and ._/@+=,:-"
            " to stand in a configuration."
        )
    return text


def engine_key(uri: str, pin_file: str | None = None) -> str:
    """What `ssl_certificate_key` takes for a key in a key store. Raises `KeyUnsuitable`."""
    if pin_file is not None:
        uri += f"{'&' if '?' in uri else '?'}pin-source=file:{pin_file}"
    if not _URI.fullmatch(uri):
        raise KeyUnsuitable("The key's URI holds signs that can't stand in a server's configuration.")
    attributes = [part.partition("=") for part in re.split(r"[;?&]", uri.removeprefix("pkcs11:"))]
    for name, _, value in attributes:
        if name == "pin-value":
            raise KeyUnsuitable("The key's URI holds a PIN: give it as the target's `pin_file`.")
        if name not in _KNOWN_TO_LIBP11:
            raise KeyUnsuitable(f"The key's URI holds {name!r}, which OpenSSL's pkcs11 engine does not take.")
        if name == "pin-source":
            _check_pin_file(value)
    return f"engine:pkcs11:{uri}"


def _check_pin_file(source: str) -> None:
    """Refuse a PIN file that libp11 would misread, before it costs the token one of its tries."""
    try:
        pin = Path(unquote(source).removeprefix("file:")).read_bytes()
    except OSError as error:
        raise KeyUnsuitable(f"The target's PIN file can't be read ({error.strerror}).") from error
    if not pin or len(pin) > _LONGEST_PIN or b"\n" in pin or b"\r" in pin:
        raise KeyUnsuitable(
            f"OpenSSL's pkcs11 engine needs a PIN file of 1 to {_LONGEST_PIN} bytes without a line break."
        )
