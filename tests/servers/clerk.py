"""A person at a desk: has each request in a folder signed by a CA of the tests, and brings the chain back."""

import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.integration.targets.material import TestCa

_LOOKS_EVERY_S = 0.02


class Clerk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trust_file = folder / "roots.pem"
        self.ca = TestCa()
        self._signed: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def open(self) -> None:
        """The desk alone, for a test that does the clerk's work itself."""
        for name in ("requests", "inbox"):
            (self.folder / name).mkdir(parents=True)
        self.trust_file.write_bytes(self.ca.root)

    def __enter__(self) -> Self:
        self.open()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def signed_for(self, url: str) -> int:
        return self._signed.count(url.rpartition("/")[2])

    def _work(self) -> None:
        while not self._ended.wait(_LOOKS_EVERY_S):
            for request in (self.folder / "requests").glob("*.csr"):
                order = request.name.split(".")[-2]
                if order not in self._signed:
                    self._signed.append(order)
                    self.bring(f"{order}.pem", self.sign(request))

    def sign(self, request: Path) -> bytes:
        """The leaf, for the names that the request asks for."""
        pem = re.search(rb"-----BEGIN.*", request.read_bytes(), re.DOTALL)
        assert pem is not None
        return self.ca.answer_all(x509.load_pem_x509_csr(pem.group()).public_bytes(Encoding.DER))

    def bring(self, name: str, chain: bytes) -> None:
        (self.folder / "inbox" / name).write_bytes(chain)
