"""`redoubt certs discover` on real listeners: what is renewed, what is stale, and what nobody renews."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.dev.process import free_port
from cli.main import run
from cli.output import ExitCode
from schemas.settings.certificates import CertificateSettings
from schemas.settings.tls import ListenerTls
from tests.integration.tls.conftest import uvicorn_listener
from tests.integration.tls.material import Issued, TlsCa, put


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[int]:
    """A listener of ours with the certificate in this folder, in a thread; yields its port."""
    tls = ListenerTls.model_validate({"certificates": [{"directory": str(folder)}]})
    opened, over, port = threading.Event(), threading.Event(), [0]

    async def serve() -> None:
        async with uvicorn_listener(tls) as port[0]:
            opened.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert opened.wait(60)
        yield port[0]
    finally:
        over.set()
        thread.join()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`localhost` is in the inventory; its target's folder is `target`."""
    (tmp_path / "target").mkdir()
    target = {
        "name": "web",
        "directory": str(tmp_path / "target"),
        "reload": ["true"],
        "verify": {"host": "127.0.0.1", "port": 1},
    }
    settings = {
        "key_stores": {"keys": {"kind": "software", "path": "keys", "master_key": "file:key"}},
        "issuers": {"ca": {"kind": "local", "path": "ca", "key_store": "keys"}},
        "certificates": {"web": {"names": ["web.example.test"], "issuers": ["ca"], "targets": [target]}},
    }
    (tmp_path / "redoubt.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("REDOUBT_CONFIG", str(tmp_path / "redoubt.yaml"))
    return tmp_path


def discovered(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]], str]:
    capsys.readouterr()
    code = run(["certs", "discover", *words, "-o", "json"])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def test_what_a_target_holds_is_renewed_and_what_it_held_is_stale(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca, served = TlsCa(), house / "served"
    issued: Issued = ca.server("web.example.test")
    put(served, issued)
    put(house / "target", issued)
    with serving(served) as port:
        code, (row,), _ = discovered(capsys, f"127.0.0.1:{port}")
        assert (code, row["renewed"], row["certificate"]) == (ExitCode.OK, "renewed", "web")
        assert (row["fingerprint"], row["tls"]) == (issued.fingerprint, "TLSv1.3")
        put(house / "target", ca.server("web.example.test"))
        code, (row,), _ = discovered(capsys, f"127.0.0.1:{port}")
        assert (code, row["renewed"], row["certificate"]) == (ExitCode.VERIFICATION, "stale", "web")
        assert row["settings"] == {}


def test_what_nobody_renews_comes_with_the_settings_to_add(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(house / "served", TlsCa().server("lost.example.test"))
    with serving(house / "served") as port:
        (house / "places").write_text(f"# forgotten\n127.0.0.1:{port}  # twice\n127.0.0.1:{port}\n\n")
        code, (row,), _ = discovered(capsys, "--from", str(house / "places"))
        assert (code, row["renewed"], row["names"]) == (
            ExitCode.VERIFICATION,
            "nobody",
            ["lost.example.test"],
        )
        assert CertificateSettings.model_validate(row["settings"]["lost-example-test"])
        assert run(["certs", "discover", f"127.0.0.1:{port}"]) == ExitCode.VERIFICATION
    shown = capsys.readouterr().out
    table, _, snippet = shown.partition("\n#")
    assert "lost.example.test" in table
    entry = yaml.safe_load("#" + snippet)["certificates"]["lost-example-test"]
    assert entry["targets"][0]["verify"] == {"host": "127.0.0.1", "port": port}
    assert entry["issuers"] == ["ca"]


@pytest.mark.usefixtures("house")
def test_a_place_without_a_listener_is_named_and_the_command_line_is_judged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    code, (row,), err = discovered(capsys, f"127.0.0.1:{port}")
    assert (code, row["renewed"]) == (ExitCode.SKIPPED, None)
    assert f"127.0.0.1:{port} could not be reached" in err
    for words in (["10.0.0.0/8:443"], ["x:0"], [], ["--from", "/nowhere/at/all"]):
        assert run(["certs", "discover", *words]) == ExitCode.USAGE, words
