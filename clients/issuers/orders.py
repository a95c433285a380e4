"""Orders as files, for issuers whose CA keeps none: each is written once, and what came of it once beside it.

- A file is there whole or not at all, and never changes: readers need no lock.
- Who acts on an order holds the folder's lock, which other processes see, so that it is acted on once.
"""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from clients.issuers import Order
from clients.locks import lock
from clients.secrets.files import store_file
from rules.points import reached
from schemas.errors import CaRefused, CaUnavailable, OrderInvalid, OrderLost

_MAX_NAMES = 100
_MAX_FILE_BYTES = 1 << 20
_ROOTS = "roots.pem"
_LOCK_WAIT_S = 60.0
"""Vault is asked while the lock is held: as long as a few of its answers may take."""
_ID = re.compile(r"[0-9a-f]{32}")


class OrderFolder:
    """The orders of one issuer; their URLs are `SCHEME:ISSUER/ID`."""

    def __init__(self, name: str, scheme: str, path: Path) -> None:
        self._name = name
        self._scheme = scheme
        self._path = path

    def place(self, names: tuple[str, ...]) -> str:
        if not 1 <= len(names) <= _MAX_NAMES:
            raise CaRefused(f"{self._name} issues for 1 to {_MAX_NAMES} names.")
        url = f"{self._scheme}:{self._name}/{secrets.token_hex(16)}"
        self.keep(url, "json", json.dumps({"names": names}).encode())
        return url

    def names(self, url: str) -> tuple[str, ...]:
        """What was ordered. Raises `OrderLost`."""
        content = self.read(url, "json")
        if content is None:
            raise OrderLost(f"{self._name} knows no such order.")
        return tuple(json.loads(content)["names"])

    def order_id(self, url: str) -> str:
        owner, _, order_id = url.removeprefix(f"{self._scheme}:").partition("/")
        if owner != self._name or not _ID.fullmatch(order_id):
            raise OrderLost(f"{self._name} knows no such order.")
        return order_id

    def issued(self, url: str) -> bytes | None:
        return self.read(url, "pem")

    def read(self, url: str, what: str) -> bytes | None:
        order_id = self.order_id(url)
        with (
            self.opened() as orders,
            contextlib.suppress(FileNotFoundError),
            (orders / f"{order_id}.{what}").open("rb") as file,
        ):
            return file.read(_MAX_FILE_BYTES)
        return None

    def keep(self, url: str, what: str, content: bytes) -> None:
        """Raises `FileExistsError` where that is there already."""
        with self.opened() as orders:
            store_file(orders / f"{self.order_id(url)}.{what}", content)

    def kept_roots(self) -> bytes | None:
        """What `keep_roots` has kept last."""
        with self.opened(), contextlib.suppress(FileNotFoundError):
            return (self._path / _ROOTS).read_bytes()[:_MAX_FILE_BYTES]
        return None

    def keep_roots(self, pem: bytes) -> None:
        """Beside the orders, for when the CA can't be asked; by who is `alone`, and whole or not at all."""
        if self.kept_roots() == pem:
            return
        draft = self._path / f".{_ROOTS}"
        with self.opened():
            draft.unlink(missing_ok=True)  # of one that was killed here
            store_file(draft, pem)
            draft.replace(self._path / _ROOTS)

    def count(self) -> int:
        with self.opened() as orders:
            return sum(1 for _ in orders.glob("*.pem"))

    @contextlib.contextmanager
    def opened(self) -> Iterator[Path]:
        """The folder of orders, made if it is not there."""
        orders = self._path / "orders"
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            orders.mkdir(mode=0o700, exist_ok=True)
            yield orders
        except FileExistsError:
            if orders.is_dir():
                raise
            raise CaUnavailable(f"The folder of {self._name} can't be used (it is a file).") from None
        except OSError as error:
            raise CaUnavailable(f"The folder of {self._name} can't be used ({error.strerror}).") from error

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Alone among all threads and processes: each entry opens the file anew, and so waits for the others.

        Raises `CaUnavailable` where one of them does not come to an end.
        """
        stuck = CaUnavailable(f"Another process works at {self._name} and does not come to an end.")
        with self.opened():
            handle = os.open(
                self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        try:
            lock(handle, _LOCK_WAIT_S, stuck)
            yield
        finally:
            os.close(handle)


class KeepsOrders:
    """What of the port `Issuer` is the same for all that keep their orders in a folder and ask for no proof.

    An order that has a certificate is valid, one without is ready, and there is no state between the two.
    """

    name: str
    _orders: OrderFolder

    def place_order(self, names: tuple[str, ...]) -> Order:
        url = self._orders.place(names)
        reached("order.placed")
        return Order(url=url, status="ready")

    def order(self, url: str) -> Order:
        self._orders.names(url)
        return Order(url=url, status="ready" if self._orders.issued(url) is None else "valid")

    def prove_control(self, url: str, beat: Callable[[], None]) -> Order:
        beat()
        return self.order(url)

    def certificate(self, url: str) -> bytes:
        self._orders.names(url)
        issued = self._orders.issued(url)
        if issued is None:
            raise OrderInvalid(f"{self.name} has issued nothing for this order.")
        reached("certificate.downloaded")
        return issued

    def _finalized(
        self, url: str, beat: Callable[[], None], issue: Callable[[tuple[str, ...]], bytes]
    ) -> Order:
        """Under the folder's lock, so that `issue` brings a chain once for each order, whoever asks beside us."""
        names = self._orders.names(url)
        beat()
        with self._orders.alone():
            if self._orders.issued(url) is None:
                self._orders.keep(url, "pem", issue(names))
                reached("order.finalized")
        return self.order(url)
