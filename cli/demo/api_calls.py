"""A program that calls our API by mutual TLS: the standard library alone, and a handshake for each call."""

import hashlib
import http.client
import json
import socket
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cli.demo.oracle import Visiting
from cli.demo.proofs import Unproved

_MOST = 1 << 20


@dataclass(frozen=True)
class ApiCaller:
    port: int
    name: str
    root: Path
    certificate: Path
    key: Path

    def call(
        self, method: str, path: str, body: bytes = b"", *, known: bool = True
    ) -> tuple[int, bytes, str]:
        """Status, body, and the fingerprint that was shown. Raises `OSError` if it does not get through."""
        context = ssl.create_default_context(cafile=str(self.root))
        if known:
            context.load_cert_chain(self.certificate, self.key)
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname=self.name) as channel,
        ):
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: {self.name}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            channel.sendall(head.encode("ascii") + body)
            answer = http.client.HTTPResponse(channel)
            answer.begin()
            shown = hashlib.sha256(channel.getpeercert(binary_form=True) or b"").hexdigest()
            return answer.status, answer.read(_MOST), shown

    def answers(self) -> bool:
        try:
            return self.call("GET", "/v1/types")[0] == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def shown(self) -> str:
        return self.call("GET", "/livez")[2]

    def without_certificate(self) -> bool:
        """Whether a client that shows none is turned away."""
        try:
            self.call("GET", "/livez", known=False)
        except (OSError, http.client.HTTPException):
            return True
        return False

    def start(self, certificate: str) -> dict[str, Any]:
        """Start a renewal; nothing if one is running. Raises `Unproved` on any other answer."""
        given = {"type": "CertificateRenewal", "input": {"certificate": certificate, "force": True}}
        status, body, _ = self.call("POST", "/v1/runs", json.dumps(given).encode())
        if status == HTTPStatus.CONFLICT:
            return {}
        if status != HTTPStatus.CREATED:
            raise Unproved(f"the API answers {status}: {body.decode(errors='replace')[:300]}")
        started: dict[str, Any] = json.loads(body)
        return started


@dataclass
class ApiVisitor(Visiting):
    """Calls without a pause, each on a connection of its own, and counts what fails."""

    caller: ApiCaller
    calls: int = 0
    failed: list[str] = field(default_factory=list)

    def _visit(self) -> None:
        while not self._ended.is_set():
            try:
                status, _, _ = self.caller.call("GET", "/v1/types")
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{type(error).__name__}: {error}")
            else:
                if status != HTTPStatus.OK:
                    self.failed.append(f"status {status}")
            self.calls += 1
