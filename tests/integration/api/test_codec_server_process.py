"""The codec server as a process: what it refuses to start with, and what it does for the Web UI over a socket."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from google.protobuf import json_format
from sqlalchemy import text
from temporalio.api.common.v1 import Payload, Payloads

from cli.dev.process import Child, free_port, listening
from rules.points import MARKER, POINT
from tests.acceptance.fleet import wait_until
from tests.integration.workers.installation import Installation, install

UI = "http://127.0.0.1:8233"
SECRET_PATH = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
CANARY = "canary-9b2f4e"


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    made = install(tmp_path, f"127.0.0.1:{free_port()}")
    made.document["codec_server"] = {
        "port": free_port(),
        "secret_path": made.secret("codec-server-path", SECRET_PATH),
        "allowed_origins": [UI],
    }
    made.write()
    return made


def process(made: Installation, **environment: str) -> Child:
    env = {"REDOUBT_CONFIG": str(made.file), **environment}
    argv = [sys.executable, "-m", "cli.main", "codec-server", "run"]
    return Child("codec-server", argv, made.folder / "codec-server.log", env)


@contextlib.contextmanager
def serving(made: Installation, **environment: str) -> Iterator[Child]:
    child, port = process(made, **environment), made.document["codec_server"]["port"]
    child.start()
    try:
        child.wait_until(lambda: listening(port), 60, "ready")
        yield child
    finally:
        child.kill()


@pytest.fixture
def server(made: Installation) -> Iterator[Child]:
    with serving(made) as child:
        yield child


def asking(made: Installation) -> httpx.Client:
    base = f"http://127.0.0.1:{made.document['codec_server']['port']}/{SECRET_PATH}"
    return httpx.Client(base_url=base, headers={"origin": UI}, timeout=60)


def evidence(made: Installation) -> list[bytes]:
    with made.wiring.engine().connect() as records:
        return [bytes(entry) for entry in records.execute(text("SELECT entry FROM evidence")).scalars()]


PLAIN = Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=f'"{CANARY}"'.encode())])


def test_encode_and_decode_with_the_installations_keys_leave_evidence_and_no_trace_in_the_log(
    made: Installation, server: Child
) -> None:
    with asking(made) as client:
        encoded = client.post("/encode", json=json_format.MessageToDict(PLAIN))
        assert encoded.status_code == 200
        assert (
            b"binary/encrypted"
            in json_format.Parse(encoded.text, Payloads()).payloads[0].metadata["encoding"]
        )
        decoded = client.post("/decode", json=encoded.json())
        assert json_format.Parse(decoded.text, Payloads()) == PLAIN
        assert decoded.headers["access-control-allow-origin"] == UI
        root = client.base_url.copy_with(path="/")
        assert client.post(root.join("/decode"), json=encoded.json()).status_code == 404
        assert client.get(root.join("/readyz")).status_code == 200

    (entry,) = evidence(made)
    assert b"payload.decoded" in entry
    assert CANARY.encode() not in entry

    server.signal(signal.SIGTERM)
    assert server.wait(30) == 0
    log = server.log.read_text()
    assert "/{secret_path}/decode" in log
    assert SECRET_PATH not in log
    assert CANARY not in log


def test_killed_with_a_decode_recorded_it_has_told_nobody_and_the_next_one_answers(
    made: Installation, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    crash = {POINT: "decode.recorded", MARKER: str(marker)}
    with asking(made) as client, ThreadPoolExecutor(1) as aside:
        with serving(made, **crash) as doomed:
            encoded = client.post("/encode", json=json_format.MessageToDict(PLAIN)).json()
            decoding = aside.submit(client.post, "/decode", json=encoded)
            wait_until(marker.exists, 60, "the decode's record")
            doomed.kill()
            with pytest.raises(httpx.TransportError):
                decoding.result()
        assert len(evidence(made)) == 1
        with serving(made):
            decoded = client.post("/decode", json=encoded)
    assert json_format.Parse(decoded.text, Payloads()) == PLAIN
    # Each of the two was a decode of its own, though nobody has seen what the first one brought.
    assert len({json.loads(entry)["operation"] for entry in evidence(made)}) == 2


@pytest.mark.usefixtures("server")
def test_connections_that_say_nothing_shut_nobody_out(made: Installation) -> None:
    port = made.document["codec_server"]["port"]
    with contextlib.ExitStack() as held:
        for _ in range(300):
            held.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"secret_path": None}, "codec_server.token or codec_server.secret_path"),
        ({"secret_path": "env:CODEC_PATH_CHANGEME"}, "codec_server.secret_path can't be used"),
        ({"secret_path": "env:CODEC_PATH_SHORT"}, "32 characters"),
    ],
)
def test_it_does_not_start_without_a_credential_that_is_hard_to_guess(
    made: Installation, change: dict[str, str | None], said: str
) -> None:
    made.document["codec_server"] |= change
    made.write()
    env = {
        "REDOUBT_CONFIG": str(made.file),
        "PATH": "/usr/bin:/bin",
        "HOME": str(made.folder),
        "CODEC_PATH_CHANGEME": "changeme",
        "CODEC_PATH_SHORT": "k3Zp9",
    }
    ended = subprocess.run(process(made).argv, env=env, capture_output=True, timeout=60, check=False)
    assert ended.returncode not in {0, -9}
    assert said in ended.stderr.decode()
    assert b"Traceback" not in ended.stderr
