"""Checks of `doctor` on our own TLS listeners: whether each could be opened with what lies in its files now."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from cli.checks import Check, Concern
from schemas.settings import Settings
from schemas.settings.tls import ListenerTls


def listener_checks(settings: Settings) -> Iterator[Check]:
    """One for each listener that has `tls`, and one for what all of them offer."""
    given = {"codec server": settings.codec_server.tls, "API": settings.api.tls}
    given |= {f"health of pool {name}": pool.tls for name, pool in settings.pools.items()}
    if any(given.values()):
        yield Check("TLS groups", _groups, "docs/tls.md says how to narrow them for this Python")
    for name, tls in given.items():
        if tls is not None:
            yield Check(f"TLS of {name}", partial(_opens, tls), "docs/tls.md says what each file must be")


def _groups() -> str:
    from clients.tls import groups  # noqa: PLC0415  # TLS loads where it is looked at

    if not groups.narrow():
        raise Concern("this Python's TLS offers more than X25519MLKEM768, X25519, P-256 and P-384")
    return f"{groups.names().replace('?', '')} and no others"


def _opens(tls: ListenerTls) -> str:
    from clients.tls.counting import Counts  # noqa: PLC0415  # X.509 loads where TLS is served
    from clients.tls.listener import ListenerContext  # noqa: PLC0415

    shown = ListenerContext(tls, Counts("doctor")).shown()
    if not shown:
        raise Concern("there is no certificate yet: handshakes are refused until it is renewed")
    first = min(shown, key=lambda one: one.not_after)
    if first.not_after <= datetime.now(UTC):
        raise Concern(f"the certificate for {first.names[0]} ended {first.not_after:%Y-%m-%d %H:%M} UTC")
    return f"shows {', '.join(one.names[0] for one in shown)}, until {first.not_after:%Y-%m-%d %H:%M} UTC"
