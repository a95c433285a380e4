"""`redoubt config`: the example loads, the schema is one, mistakes are named, secrets never come back."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.output import ExitCode
from clients.settings import load
from clients.settings.shape import root
from tests.unit.cli.conftest import Redoubt

CANARY = "Sup3rS3cretCanary"


def test_the_example_loads_as_it_stands_and_shows_every_setting(redoubt: Redoubt, tmp_path: Path) -> None:
    said = redoubt("config", "example")
    file = tmp_path / "example.yaml"
    file.write_text(said.out)
    load(file, {})
    missing = set(_names(root())) - {
        line.strip().removeprefix("- ").partition(":")[0] for line in said.out.splitlines()
    }
    assert not missing


def _names(shape: dict[str, Any]) -> list[str]:
    sections = [shape, *shape["$defs"].values()]
    return [name for section in sections for name in section.get("properties", {})]


def test_every_setting_has_a_description() -> None:
    sections = [root(), *root()["$defs"].values()]
    bare = [
        f"{section['title']}.{name}"
        for section in sections
        for name, about in section.get("properties", {}).items()
        if name != "kind" and "description" not in about and "$ref" not in about
    ]
    assert bare == []


def test_the_schema_is_json_schema_and_refuses_unknown_settings(redoubt: Redoubt) -> None:
    said = redoubt("config", "schema")
    schema = json.loads(said.out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    sections = [schema, *schema["$defs"].values()]
    assert all(one["additionalProperties"] is False for one in sections if "properties" in one)
    assert (
        schema["$defs"]["CodecServerSettings"]["properties"]["token"]["anyOf"][0]["format"]
        == "secret-reference"
    )


def test_check_says_that_a_file_can_be_used(redoubt: Redoubt, tmp_path: Path) -> None:
    (tmp_path / "redoubt.yaml").write_text("temporal: {address: a:1}\n")
    said = redoubt("config", "check")
    assert (said.code, said.out, said.err) == (ExitCode.OK, "", f"{tmp_path}/redoubt.yaml can be used.\n")


def test_check_names_each_mistake_by_its_line(redoubt: Redoubt, tmp_path: Path) -> None:
    (tmp_path / "redoubt.yaml").write_text("temporal:\n  adress: a:1\npools:\n  A: {}\n")
    said = redoubt("config", "check")
    assert said.code == ExitCode.USAGE
    assert said.out.startswith("redoubt.yaml:2: temporal.adress: is no setting; did you mean 'address'?\n")
    assert "2 problems in " in said.err
    rows = json.loads(redoubt("config", "check", "-o", "json").out)
    assert [row["where"] for row in rows] == ["redoubt.yaml:2", "redoubt.yaml:4"]


def test_show_prints_each_value_with_its_origin(
    redoubt: Redoubt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redoubt.yaml").write_text("temporal: {address: a:1}\ncodec_server: {token: 'env:TOKEN'}\n")
    monkeypatch.setenv("REDOUBT__TELEMETRY__LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("TOKEN", CANARY)
    rows = {row["name"]: row for row in json.loads(redoubt("config", "show", "-o", "json").out)}
    assert rows["temporal.address"] == {
        "name": "temporal.address",
        "value": "a:1",
        "origin": "redoubt.yaml:1",
    }
    assert rows["codec_server.token"]["value"] == "env:TOKEN"
    assert rows["telemetry.log_level"]["origin"] == "environment REDOUBT__TELEMETRY__LOG_LEVEL"
    assert rows["installation"]["origin"] == "default"
    text = redoubt("config", "show").out
    assert "temporal.address" in text
    assert CANARY not in text


@pytest.mark.parametrize("command", ["config check", "config show", "doctor", "certs list", "codec status"])
def test_a_secret_typed_in_place_of_a_reference_never_comes_back(
    command: str, redoubt: Redoubt, tmp_path: Path
) -> None:
    settings = {
        "temporal": {"api_key": CANARY},
        "codec_server": {"token": CANARY, "secret_path": {"value": CANARY}},
        "store": {"url": f"postgresql+psycopg://u:{CANARY}@h/d", "password": CANARY},
        "key_stores": {"hsm": {"kind": "pkcs11", "module": "/m", "token": "t", "pin": CANARY}},
        "issuers": {"x": {"kind": CANARY}},
    }
    (tmp_path / "redoubt.yaml").write_text(yaml.safe_dump(settings))
    for output in ("text", "json", "jsonl"):
        said = redoubt(*command.split(), "-o", output)
        assert said.code == ExitCode.USAGE
        assert CANARY not in said.out + said.err


def test_the_global_option_names_the_file(
    redoubt: Redoubt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "elsewhere.yaml"
    file.write_text("installation: elsewhere\n")
    monkeypatch.setenv("REDOUBT_CONFIG", "/nowhere")
    said = redoubt("--config", str(file), "config", "show", "-o", "json")
    assert json.loads(said.out)[0] == {
        "name": "installation",
        "value": "elsewhere",
        "origin": "elsewhere.yaml:1",
    }


def test_without_a_file_it_says_where_it_looked(redoubt: Redoubt) -> None:
    said = redoubt("config", "show")
    assert said.code == ExitCode.USAGE
    assert "`redoubt init` makes one" in said.err
