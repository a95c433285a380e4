"""A name server on loopback: it answers by UDP with what it is given, or as broken ones do."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

SILENT: Final = "silent"
SERVFAIL: Final = "servfail"
GARBAGE: Final = "garbage"

_LARGEST: Final = 4096


@dataclass
class NameServer:
    """`records`: a name's lines, like `CAA 0 issue "ca.example"`, or a word above; other names are unknown."""

    line: socket.socket
    records: dict[str, list[str] | str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """As `resolver.servers` takes it."""
        host, port = self.line.getsockname()
        return f"{host}#{port}"

    def serve(self) -> None:
        while True:
            wire, who = self.line.recvfrom(_LARGEST)
            if not wire:
                return
            answer = self._answer(wire)
            if answer is not None:
                self.line.sendto(answer, who)

    def _answer(self, wire: bytes) -> bytes | None:
        query = dns.message.from_wire(wire)
        (question,) = query.question
        name = str(question.name).removesuffix(".").lower()
        self.asked.append(name)
        given = self.records.get(name)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        if given == SILENT:
            return None
        if given == GARBAGE:
            return b"\x00" * 8
        if given == SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif given is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            self._fill(response, name, question.rdtype)
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: str, wanted: dns.rdatatype.RdataType) -> None:
        for line in self.records.get(name, []):
            kind, _, text = line.partition(" ")
            if kind in {"CNAME", dns.rdatatype.to_text(wanted)}:
                owner = dns.name.from_text(name)
                response.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, text))
                if kind == "CNAME":
                    self._fill(response, text.removesuffix("."), wanted)


@contextlib.contextmanager
def name_server() -> Iterator[NameServer]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        server = NameServer(line)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", line.getsockname())
            thread.join(60)
