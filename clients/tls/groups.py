"""The groups of the policy, for every context that this process makes from here on: listeners and clients alike.

Python before 3.15 has no call for a list of groups. OpenSSL has one that works in every version: a configuration that
it applies to each context when it makes it. It is loaded by OpenSSL's own `CONF_modules_load_file`, from the very
library that Python's `ssl` uses, before the first context is made (ADR 14).

- Where `OPENSSL_CONF` is set, whoever set it has decided: it holds.
- Whether it holds is told by what a new context offers, never by what was asked for.
"""

import _ssl
import ctypes
import os
import ssl
import tempfile
from typing import Final

import structlog

from rules.tls import supported_groups

GROUPS: Final = {"X25519MLKEM768": 0x11EC, "X25519": 0x001D, "P-256": 0x0017, "P-384": 0x0018}
"""The policy's, the first choice first, with their numbers (IANA)."""

_HYBRID: Final = "X25519MLKEM768"
_SINCE: Final = (3, 5)
"""The OpenSSL that has it, and that takes `?` for a group which it may lack."""
_DONE: Final = 1

_log = structlog.get_logger("clients.tls")


def names() -> str:
    """The policy's list as this OpenSSL takes it."""
    has_hybrid = ssl.OPENSSL_VERSION_INFO[:2] >= _SINCE
    return ":".join(f"?{name}" if has_hybrid else name for name in GROUPS if has_hybrid or name != _HYBRID)


def narrow() -> bool:
    """To be called when a process starts, before other threads use TLS; whether it holds."""
    if "OPENSSL_CONF" not in os.environ:
        _configure()
    strangers = set(offered()) - set(GROUPS.values())
    if strangers:
        _log.warning("TLS offers groups beyond the policy: see docs/tls.md", groups=sorted(strangers))
    return not strangers


def offered() -> tuple[int, ...]:
    """The groups that a context made now offers, by number."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        return supported_groups(out.read())
    raise RuntimeError("a handshake with nobody can't end")


def _configure() -> None:
    sections = ("redoubt = main", "[main]", "ssl_conf = contexts", "[contexts]", "system_default = ours")
    text = "\n".join((*sections, "[ours]", f"Groups = {names()}", ""))
    try:
        load = ctypes.CDLL(getattr(_ssl, "__file__", None)).CONF_modules_load_file
    except (OSError, AttributeError):
        return  # a library that shows none of its functions: `narrow` says so
    load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong), ctypes.c_int
    with tempfile.NamedTemporaryFile("w", prefix="redoubt-openssl-", suffix=".cnf", encoding="ascii") as file:
        file.write(text)
        file.flush()
        if load(file.name.encode(), b"redoubt", 0) != _DONE:
            _log.warning("OpenSSL does not take the policy's groups", groups=names())
