"""The one TLS policy of every listener of ours.

- TLS 1.3 only, and so its suites only: AES-256-GCM, ChaCha20-Poly1305, AES-128-GCM.
- Key exchange: X25519MLKEM768 where the library has it, X25519, P-256, P-384. `clients.tls.groups` narrows the
  process to them when it starts, since Python before 3.15 can't set a list for one context.
- No early data: the library takes none unless it is told to, and Python can't tell it to.
- Sessions resume by tickets of the library. Their keys live and die with the context: a context is made anew
  whenever what it trusts changes, so a session never outlives the CA and the CRL that it was verified by.
"""

import ssl
from typing import Final

from clients.tls import groups

SUITES: Final = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
}
"""The suites of TLS 1.3 that are served, with their numbers (IANA)."""


def apply(context: ssl.SSLContext) -> None:
    """Make a server's context follow the policy; it shows no certificate and asks for none yet."""
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    set_groups = getattr(context, "set_groups", None)
    if set_groups is not None:
        set_groups(groups.names())
