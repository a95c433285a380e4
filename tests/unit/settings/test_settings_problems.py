"""Each mistake in a settings file is named by line, with what to do, and no value is ever echoed."""

from pathlib import Path

import pytest

from clients.settings import load, problems
from schemas.errors import InvalidSettings

CANARY = "Sup3rS3cretCanary"
REFERENCE = "a secret is given by reference, never as a value"

MISTAKES = {
    "unknown key": (
        "temporal:\n  adress: x\n",
        "redoubt.yaml:2: temporal.adress: is no setting; did you mean 'address'?",
    ),
    "unknown section": (
        "certficates: {}\n",
        "redoubt.yaml:1: certficates: is no setting; did you mean 'certificates'?",
    ),
    "what only the policy says": (
        "certificates:\n  www:\n    approvers: [anna]\n",
        "redoubt.yaml:3: certificates.www.approvers: is no setting; the signed policy names approvers: ",
    ),
    "nothing like it": ("zzz: 1\n", "redoubt.yaml:1: zzz: is no setting; allowed are installation, temporal"),
    "unknown key of a kind": (
        "key_stores:\n  hsm:\n    kind: pkcs11\n    module: /m\n    token: t\n    pin: file:p\n    lable: x\n",
        "redoubt.yaml:7: key_stores.hsm.lable: is no setting",
    ),
    "unknown kind": (
        f"issuers:\n  x:\n    kind: {CANARY}\n",
        "redoubt.yaml:2: issuers.x: `kind` must be one of 'acme', 'local', 'manual', 'vault-pki'",
    ),
    "no kind": ("issuers:\n  x: {path: a}\n", "redoubt.yaml:2: issuers.x: needs `kind`"),
    "out of range": (
        "codec_server:\n  port: 99999\n",
        "redoubt.yaml:2: codec_server.port: should be less than",
    ),
    "wrong type": (
        "codec_server:\n  port: many\n",
        "redoubt.yaml:2: codec_server.port: should be a valid integer",
    ),
    "a value, not a list": (
        "certificates:\n  www:\n    names: www.example.com\n    issuers: [a]\n    targets: []\n",
        "redoubt.yaml:3: certificates.www.names: should be a list",
    ),
    "a value, not a section": ("temporal: here\n", "redoubt.yaml:1: temporal: should be a mapping"),
    "missing": ("issuers:\n  x: {kind: local, path: a}\n", "redoubt.yaml:2: issuers.x.key_store: is missing"),
    "bad name": ("pools:\n  Big_Pool: {}\n", "redoubt.yaml:2: pools.Big_Pool: does not have the form"),
    "not defined": (
        "issuers:\n  x: {kind: local, path: a, key_store: nope}\n",
        "redoubt.yaml:2: issuers.x.key_store: names 'nope', which is not defined; defined are: none",
    ),
    "given twice": ("installation: a\ninstallation: b\n", "redoubt.yaml:2: installation is given twice"),
    "not YAML": ("temporal: [1\n", "redoubt.yaml:2: this is not YAML, from here or just above"),
    "a list": ("- a\n", "redoubt.yaml:1: the file must be a mapping of settings"),
    "anchor": ("installation: &a x\n", "redoubt.yaml:1: anchors and aliases are not allowed"),
    "too deep": ("a: " + "[" * 40 + "]" * 40 + "\n", "redoubt.yaml:1: more than 32 levels"),
    "no word as a name": ("{{a}}: 1\n", "redoubt.yaml:1: a setting's name must be a word"),
    "no such date": (
        "installation: 2001-99-99\n",
        "redoubt.yaml:1: this value can't be read; put it in quotes",
    ),
    "control character": (
        "installation: \x00\n",
        "redoubt.yaml:1: the file holds characters that YAML forbids",
    ),
    "two clocks": (
        "schedules:\n  s: {workflow: CertificateSweep, cron: '* * * * *', every_s: 1}\n",
        "redoubt.yaml:2: schedules.s: a schedule has either every_s or cron",
    ),
    "password in the URL": (
        f"store:\n  url: postgresql+psycopg://me:{CANARY}@db/redoubt\n",
        "redoubt.yaml:2: store.url: the URL holds a password: put it behind `password` as a reference",
    ),
    "secret as a value": (
        f"codec_server:\n  token: {CANARY}\n",
        f"redoubt.yaml:2: codec_server.token: {REFERENCE}",
    ),
    "secret as a number": (
        "codec_server:\n  token: 123456\n",
        "redoubt.yaml:2: codec_server.token: should be a valid string",
    ),
    "secret as a tag": (f"codec_server:\n  token: !{CANARY} x\n", "redoubt.yaml:2: tags are not allowed"),
    "secret as an alias": (
        f"codec_server:\n  token: *{CANARY}\n",
        "redoubt.yaml:2: anchors and aliases are not allowed",
    ),
    "secret as a mapping": (
        f"codec_server:\n  token: {{x: {CANARY}}}\n",
        "redoubt.yaml:2: codec_server.token: should be",
    ),
    "secret in bad YAML": (f"codec_server:\n  token: '{CANARY}\n", "redoubt.yaml:3: this is not YAML"),
    "secret with a percent": (f"codec_server:\n  token: %{CANARY}\n", "redoubt.yaml:2: this is not YAML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_by_its_line_and_never_echoed(mistake: str, tmp_path: Path) -> None:
    text, expected = MISTAKES[mistake]
    file = tmp_path / "redoubt.yaml"
    file.write_text(text)
    found = [str(problem) for problem in problems(file, {})]
    assert any(problem.startswith(expected) for problem in found), found
    with pytest.raises(InvalidSettings) as refused:
        load(file, {})
    assert expected in str(refused.value)
    assert CANARY not in "".join(found) + repr(refused.value) + str(refused.value)


def test_every_problem_is_listed_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "redoubt.yaml"
    file.write_text("temporal:\n  adress: x\ncodec_server:\n  port: 0\n  token: secret\npools:\n  A: {}\n")
    assert [problem.where for problem in problems(file, {})] == [
        f"redoubt.yaml:{line}" for line in (2, 4, 5, 7)
    ]


def test_a_file_that_is_too_large_or_not_utf_8_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "redoubt.yaml"
    file.write_bytes(b"#" * ((1 << 20) + 1))
    assert [problem.text for problem in problems(file, {})] == ["the file is larger than 1048576 bytes"]
    file.write_bytes(b"a: 1\nb: \xff\n")
    assert [str(problem) for problem in problems(file, {})] == ["redoubt.yaml:2: this is not UTF-8"]


def test_a_problem_from_the_environment_names_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "redoubt.yaml"
    file.write_text("temporal:\n  address: a:1\n")
    environ = {"REDOUBT__CODEC_SERVER__TOKEN": CANARY, "REDOUBT__TEMPORAL__ADRESS": "b"}
    found = sorted(str(problem) for problem in problems(file, environ))
    assert found[0].startswith("environment REDOUBT__CODEC_SERVER__TOKEN: codec_server.token: " + REFERENCE)
    assert found[1] == (
        "environment REDOUBT__TEMPORAL__ADRESS: temporal.adress: is no setting; did you mean 'address'?"
    )
    assert CANARY not in "".join(found)
