"""The broker of the tests' servers keeps nobody waiting for a server that somebody else has asked for."""

import json
import socket
import threading
from pathlib import Path

import pytest

from tests.servers import starters
from tests.servers.broker import Broker
from tests.servers.starters import Started


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """`patient` starts only once `quick` has."""
    quick_is_up = threading.Event()

    def patient(_folder: Path) -> Started:
        assert quick_is_up.wait(60), "it was started before anything else could be"
        return {"address": "patient"}, lambda: None

    def quick(_folder: Path) -> Started:
        quick_is_up.set()
        return {"address": "quick"}, lambda: None

    monkeypatch.setattr(starters, "STARTERS", {"patient": patient, "quick": quick})
    return Broker(tmp_path)


def asking(broker: Broker, want: str) -> socket.socket:
    """The line on which the answer will come."""
    ours, theirs = socket.socketpair()
    ours.settimeout(90)
    ours.sendall(json.dumps({"want": want}).encode() + b"\n")
    broker.take(theirs)
    return ours


def answer(line: socket.socket) -> dict[str, str]:
    with line, line.makefile("rb") as said:
        told: dict[str, str] = json.loads(said.readline())
    return told


def test_servers_start_side_by_side_and_once_each(broker: Broker) -> None:
    lines = [asking(broker, want) for want in ("patient", "patient", "quick")]
    assert [answer(line)["address"] for line in lines] == ["patient", "patient", "quick"]
    broker.stop()


def test_who_asked_hears_why_a_server_did_not_start(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_folder: Path) -> Started:
        raise FileNotFoundError("no such program")

    monkeypatch.setitem(starters.STARTERS, "quick", broken)
    assert answer(asking(broker, "quick")) == {"error": "FileNotFoundError: no such program"}
