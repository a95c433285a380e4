"""What `doctor` says of our own listeners."""

from pathlib import Path

import pytest

from cli.checks import State, checked
from cli.checks_tls import listener_checks
from schemas.settings import Settings
from tests.integration.tls.material import TlsCa, put


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "api").mkdir(mode=0o700)
    tls = {"certificates": [{"directory": str(tmp_path / "api")}]}
    return Settings.model_validate(
        {
            "codec_server": {"token": "file:t", "tls": tls},
            "api": {"tls": tls},
            "pools": {"audit": {}, "certificates": {"tls": tls}},
        }
    )


def test_each_listener_with_tls_is_looked_at(settings: Settings, tmp_path: Path) -> None:
    checks = list(listener_checks(settings))
    assert [check.name for check in checks] == [
        "TLS groups",
        "TLS of codec server",
        "TLS of API",
        "TLS of health of pool certificates",
    ]
    (finding,) = checked(checks[1])
    assert (finding.state, "no certificate yet" in finding.saw) == (State.WARNING, True)
    put(tmp_path / "api", TlsCa().server("codec.example.test"))
    (finding,) = checked(checks[1])
    assert (finding.state, "codec.example.test" in finding.saw) == (State.OK, True)
    (tmp_path / "api" / "current" / "key.pem").chmod(0o644)
    (finding,) = checked(checks[1])
    assert (finding.state, "open to other users" in finding.saw) == (State.BROKEN, True)


def test_without_tls_there_is_nothing_to_look_at() -> None:
    assert list(listener_checks(Settings())) == []
