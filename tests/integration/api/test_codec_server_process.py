"""The codec server as a process: what it refuses to start with, and what it does for the Web UI over a socket."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from google.protobuf import json_format
from sqlalchemy import text
from temporalio.api.common.v1 import Payload, Payloads

from cli.dev.process import Child, free_port, listening
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


def process(made: Installation) -> Child:
    env = {"REDOUBT_CONFIG": str(made.file)}
    argv = [sys.executable, "-m", "cli.main", "codec-server", "run"]
    return Child("codec-server", argv, made.folder / "codec-server.log", env)


@pytest.fixture
def server(made: Installation) -> Iterator[Child]:
    child, port = process(made), made.document["codec_server"]["port"]
    child.start()
    child.wait_until(lambda: listening(port), 60, "ready")
    yield child
    child.kill()


def test_encode_and_decode_with_the_installations_keys_leave_evidence_and_no_trace_in_the_log(
    made: Installation, server: Child
) -> None:
    base = f"http://127.0.0.1:{made.document['codec_server']['port']}"
    plain = Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=f'"{CANARY}"'.encode())])
    with httpx.Client(base_url=base, headers={"origin": UI}, timeout=10) as client:
        encoded = client.post(f"/{SECRET_PATH}/encode", json=json_format.MessageToDict(plain))
        assert encoded.status_code == 200
        assert (
            b"binary/encrypted"
            in json_format.Parse(encoded.text, Payloads()).payloads[0].metadata["encoding"]
        )
        decoded = client.post(f"/{SECRET_PATH}/decode", json=encoded.json())
        assert json_format.Parse(decoded.text, Payloads()) == plain
        assert decoded.headers["access-control-allow-origin"] == UI
        assert client.post("/decode", json=encoded.json()).status_code == 404
        assert client.get("/readyz").status_code == 200

    with made.wiring.engine().connect() as records:
        (entry,) = records.execute(text("SELECT entry FROM evidence")).scalars()
    assert b"payload.decoded" in bytes(entry)
    assert CANARY.encode() not in bytes(entry)

    server.signal(signal.SIGTERM)
    server.wait(30)
    log = server.log.read_text()
    assert "/{secret_path}/decode" in log
    assert SECRET_PATH not in log
    assert CANARY not in log


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
