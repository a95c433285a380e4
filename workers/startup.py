"""What must hold before a worker takes its first task; else it does not start, and says why.

It fails closed: every secret that its pools use can be followed and is neither empty, nor a default, nor an
example; the payload keys can be read; the records have the schema that this code knows.
"""

from collections.abc import Callable, Sequence

import structlog

from clients.temporal.keyring import PayloadRefused
from schemas.errors import InvalidReference, KeyStoreUnavailable, RedoubtError
from schemas.settings import Settings
from workers.needs import Secrets, shared_secrets
from workers.pools import Pool
from workers.wiring import Wiring

_log = structlog.get_logger("workers.startup")


def check_startup(wiring: Wiring, pools: Sequence[Pool]) -> None:
    """Raises the first thing that stands in the way, with the setting's name."""
    check_secrets(wiring, shared_secrets, *(pool.secrets for pool in pools))
    check_key_ring(wiring)
    wiring.check_schema()
    if any(pool.name == "certificates" for pool in pools):
        tell_left_open(wiring)


def tell_left_open(wiring: Wiring) -> None:
    """Warn of operations on what was taken out of the settings; they stop no worker, nor do records that are away."""
    from activities.certificates.left_open import left_open  # noqa: PLC0415  # for this pool alone

    try:
        found = left_open(wiring.journal(), wiring.settings.certificates)
    except RedoubtError as away:
        _log.warning("whether operations were left open is not known", code=away.code, detail=away.in_full)
        return
    for one in found:
        _log.warning(one.words, what_to_do=one.what_to_do)


def check_secrets(wiring: Wiring, *users: Callable[[Settings], Secrets]) -> None:
    for secrets in users:
        for name, reference in secrets(wiring.settings):
            try:
                wiring.secrets().resolve(reference)
            except InvalidReference as refused:
                raise InvalidReference(f"{name} can't be used. {refused.in_full}") from None


def check_key_ring(wiring: Wiring) -> None:
    """Without a payload key no task can be read: the worker would take tasks and hold them up."""
    try:
        wiring.key_ring().current()
    except PayloadRefused as missing:
        raise KeyStoreUnavailable(str(missing)) from None
