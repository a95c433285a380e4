"""`redoubt init`: every secret once, never over another, and complete however often it was killed."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cli.init import SECRETS
from cli.output import ExitCode
from clients.secrets.resolver import Secrets
from clients.settings import load
from clients.settings.shape import references
from tests.servers.crashes import command_killed_at
from tests.unit.cli.conftest import Redoubt

ROOT = Path(__file__).parents[3]


def _rows(text: str) -> dict[str, str]:
    return {row["name"]: row["state"] for row in json.loads(text)}


def _content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_an_installation_has_every_secret_and_settings_that_refer_to_them(
    redoubt: Redoubt, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "installation"
    said = redoubt("init", "--dir", str(folder), "-o", "json")
    assert said.code == ExitCode.OK, said.err
    assert set(_rows(said.out).values()) == {"made"}
    files = sorted((folder / "secrets").iterdir())
    assert [file.name for file in files] == sorted(SECRETS)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("secrets", "keys", "spool", "ca")} == {
        0o700
    }
    assert len({file.read_bytes() for file in files}) == len(files)
    for _, reference in references(load(folder / "redoubt.yaml", {})):
        assert len(Secrets().resolve(reference)) >= 43  # 256 bits in base64url
    key = load_pem_private_key((folder / "secrets" / "acme-account-key").read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    assert isinstance(key.curve, SECP256R1)
    assert not any(file.read_text().strip() in said.out + said.err for file in files)


def test_two_installations_share_no_secret(redoubt: Redoubt, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert redoubt("init", "--dir", str(tmp_path / name)).code == ExitCode.OK
    one, two = (set(_content(tmp_path / name / "secrets").values()) for name in ("one", "two"))
    assert not one & two


def test_again_it_changes_nothing_and_makes_only_what_is_missing(redoubt: Redoubt, tmp_path: Path) -> None:
    folder = tmp_path / "installation"
    assert redoubt("init", "--dir", str(folder)).code == ExitCode.OK
    before = _content(folder)
    again = redoubt("init", "--dir", str(folder), "-o", "json")
    assert set(_rows(again.out).values()) == {"kept"}
    assert "nothing was changed" in again.err
    assert _content(folder) == before

    (folder / "secrets" / "token-pin").unlink()
    (folder / "redoubt.yaml").write_text(
        "installation: mine\n" + (folder / "redoubt.yaml").read_text().replace("installation: redoubt\n", "")
    )
    third = redoubt("init", "--dir", str(folder), "-o", "json")
    assert {name for name, state in _rows(third.out).items() if state == "made"} == {"token-pin"}
    assert load(folder / "redoubt.yaml", {}).installation == "mine"


@pytest.mark.parametrize("value", [b"", b"changeme\n", b"<fill me in>\n"])
def test_a_secret_that_is_none_is_refused_and_left(value: bytes, redoubt: Redoubt, tmp_path: Path) -> None:
    folder = tmp_path / "installation"
    assert redoubt("init", "--dir", str(folder)).code == ExitCode.OK
    (folder / "secrets" / "log-key").write_bytes(value)
    said = redoubt("init", "--dir", str(folder))
    assert said.code == ExitCode.USAGE
    assert "log-key is there, and can't be kept." in said.err
    assert (folder / "secrets" / "log-key").read_bytes() == value


def test_a_folder_of_secrets_that_others_can_enter_is_refused(redoubt: Redoubt, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o755)
    (tmp_path / "secrets").chmod(0o755)
    said = redoubt("init", "--dir", str(tmp_path))
    assert said.code == ExitCode.USAGE
    assert "must be a folder of yours with mode 0700" in said.err
    assert list((tmp_path / "secrets").iterdir()) == []


def test_a_wrong_place_in_vault_is_a_usage_error(redoubt: Redoubt, tmp_path: Path) -> None:
    said = redoubt("init", "--dir", str(tmp_path / "x"), "--vault", "nomount")
    assert said.code == ExitCode.USAGE
    assert not (tmp_path / "x").exists()


POINTS = [f"secret.stored:{number}" for number in range(1, len(SECRETS) + 1)]


@pytest.mark.parametrize("point", [*POINTS, "settings.rendered", "settings.stored", "payload-key.made"])
def test_killed_anywhere_and_run_again_it_is_complete_and_keeps_what_it_made(
    point: str, tmp_path: Path
) -> None:
    folder = tmp_path / "installation"
    command = [sys.executable, "-m", "cli.main", "init", "--dir", str(folder), "-o", "json"]
    command_killed_at(point, tmp_path, command)
    (folder / "secrets" / ".log-key.left-behind").write_bytes(b"half")
    before = {name: value for name, value in _content(folder).items() if "/." not in name}

    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    after = _content(folder)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name.startswith("secrets/")} == {f"secrets/{name}" for name in SECRETS}
    load(folder / "redoubt.yaml", {})
    assert json.loads(done.stdout)[-1]["name"] == "payload-key"
