"""uvicorn's HTTP/1.1 protocol, on a listener whose connections are bounded (`clients.listeners`).

What is no HTTP is answered like every refusal: with problem details and a correlation ID.
"""

import sys
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.guard import SECURITY
from api.problems import Refused, problem
from clients.listeners.connections import Connections
from clients.temporal.correlation import correlation_of


class BoundedProtocol(H11Protocol):
    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bounded = connections

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._bounded.serving(self.transport)

    def on_response_complete(self) -> None:
        if not self.flow.write_paused:
            self._bounded.waiting(self.transport)
        super().on_response_complete()

    def resume_writing(self) -> None:
        """What was written is read: of an answer that is complete, that was its end."""
        super().resume_writing()
        if self.cycle is not None and self.cycle.response_complete:
            self._bounded.waiting(self.transport)

    def send_400_response(self, msg: str) -> None:
        """Called while h11 refuses what came: it has a status where 400 is not the right one."""
        hint = getattr(sys.exception(), "error_status_hint", HTTPStatus.BAD_REQUEST)
        correlation_id = correlation_of(None)
        answer = problem(Refused(HTTPStatus(hint), msg), correlation_id)
        answer.headers.update({**SECURITY, "Connection": "close", "X-Correlation-Id": correlation_id})
        head = h11.Response(status_code=answer.status_code, headers=answer.raw_headers)
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
