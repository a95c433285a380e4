"""What must hold before a worker takes its first task; else it does not start, and says why.

It fails closed: every secret that its pools use can be followed and is neither empty, nor a default, nor an
example; the payload keys can be read; the records have the schema that this code knows.
"""

from collections.abc import Callable, Sequence

from clients.temporal.keyring import PayloadRefused
from schemas.errors import InvalidReference, KeyStoreUnavailable
from schemas.settings import Settings
from workers.needs import Secrets, shared_secrets
from workers.pools import Pool
from workers.wiring import Wiring


def check_startup(wiring: Wiring, pools: Sequence[Pool]) -> None:
    """Raises the first thing that stands in the way, with the setting's name."""
    check_secrets(wiring, shared_secrets, *(pool.secrets for pool in pools))
    check_key_ring(wiring)
    wiring.check_schema()


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
