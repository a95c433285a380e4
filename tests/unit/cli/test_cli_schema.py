"""`redoubt schema`, and the input of `redoubt start`: judged here, before anything is sent."""

import io
import json
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cli.output import ExitCode
from cli.types import MAX_INPUT_BYTES, read_input
from rules.inputs import named
from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import InvalidInput, UnknownWorkflowType
from tests.unit.cli.conftest import Redoubt

CANARY = "Sup3rS3cretCanary"


@pytest.mark.parametrize("kind", WORKFLOW_TYPES)
def test_each_type_s_example_fits_its_own_schema(kind: str, redoubt: Redoubt, tmp_path: Path) -> None:
    schema = json.loads(redoubt("schema", kind).out)
    assert schema["title"] == kind
    assert schema["additionalProperties"] is False
    file = tmp_path / "input.json"
    file.write_text(redoubt("schema", kind, "--example").out)
    assert (
        read_input(named(kind), str(file)).model_dump(mode="json", exclude_unset=True)
        == schema["examples"][0]
    )


def test_all_types_are_listed(redoubt: Redoubt) -> None:
    rows = json.loads(redoubt("schema", "-o", "json").out)
    assert [row["type"] for row in rows] == list(WORKFLOW_TYPES)


@pytest.mark.parametrize("kind", WORKFLOW_TYPES)
def test_the_link_prefills_the_start_form(kind: str, redoubt: Redoubt, tmp_path: Path) -> None:
    (tmp_path / "redoubt.yaml").write_text("temporal: {namespace: ns, web_ui: 'https://ui.example/'}\n")
    said = redoubt("schema", kind, "--link")
    link, query = urlsplit(said.out.strip()), parse_qs(urlsplit(said.out.strip()).query)
    assert (link.netloc, link.path) == ("ui.example", "/namespaces/ns/workflows/start-workflow")
    assert query["workflowType"] == [kind]
    assert query["taskQueue"] == [WORKFLOW_TYPES[kind].capability]
    assert query["workflowId"][0].startswith(WORKFLOW_TYPES[kind].id_prefix + "/")


def test_an_unknown_type_is_answered_with_the_nearest(redoubt: Redoubt) -> None:
    with pytest.raises(UnknownWorkflowType, match="Did you mean 'CertificateRenewal'"):
        named("CertificateRenewel")
    assert redoubt("schema", "Nothing").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'{"certificate": "www", "froce": true}', "froce: Extra inputs are not permitted"),
        (b"{}", "certificate: Field required"),
        (b'{"certificate": 7}', "certificate: Input should be a valid string"),
        (f'{{"certificate": "{CANARY} {CANARY}"}}'.encode(), "certificate: String should match pattern"),
        (b"", "the input: Input should be a valid dictionary"),
        (b"[]", "the input: Input should be a valid dictionary"),
        (b'{"certificate": ', "neither JSON nor YAML, from line 1"),
        (b"\xff\xfe\x00", "neither JSON nor YAML"),
        (b"a: &x 1\nb: *x\n", "aliases"),
        (b"[" * 2000, "neither JSON nor YAML"),
        (b"#" * (MAX_INPUT_BYTES + 1), "larger than"),
    ],
)
def test_bad_input_is_named_and_never_echoed(text: bytes, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(text)
    with pytest.raises(InvalidInput) as refused:
        read_input(named("CertificateRenewal"), str(file))
    assert fault in refused.value.detail
    assert CANARY not in refused.value.detail


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="can't be read: No such file"):
        read_input(named("CertificateRenewal"), str(tmp_path / "none"))


def test_input_may_be_yaml_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"certificate: www\nforce: yes\n")))
    given = read_input(named("CertificateRenewal"), "-")
    assert given.model_dump(exclude_unset=True) == {"certificate": "www", "force": True}


def test_start_refuses_before_it_looks_for_the_cluster(redoubt: Redoubt, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text(f'{{"certificate": "{CANARY}!"}}')
    said = redoubt("start", "CertificateRenewal", "--input", str(file))
    assert said.code == ExitCode.USAGE
    assert said.err.startswith("Error: InvalidInput: ")
    assert CANARY not in said.err
