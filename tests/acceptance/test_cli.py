"""The mistakes that people make at the command line: clear words, the documented exit code, never a traceback."""

from pathlib import Path

import pytest
import yaml

from cli.dev import layout
from tests.acceptance.embedded import Embedded, redoubt
from tests.acceptance.fleet import Ended

GOOD = '{"certificate": "www"}'
RENEWAL = ("start", "CertificateRenewal", "--input")

MISTAKES = [
    (("strat",), "", 2, "start"),
    (("start", "CertifcateRenewal", "--input", "-"), GOOD, 2, "Did you mean 'CertificateRenewal'?"),
    ((*RENEWAL, "nowhere.json"), "", 2, "nowhere.json"),
    ((*RENEWAL, "-"), '{"certificate": ', 2, "neither JSON nor YAML"),
    ((*RENEWAL, "-"), '{"certificate": "www", "colour": 1}', 2, "colour"),
    ((*RENEWAL, "-"), '{"certificate": "www", "force": "canary"}', 2, "force"),
    ((*RENEWAL, "-"), "", 2, "InvalidInput"),
    (("start", "CertificateRenewal"), "", 2, "--input"),
    (("schema", "certificaterenewal"), "", 2, "Did you mean 'CertificateRenewal'?"),
    (("status", "certificate-renewal/nobody"), "", 2, "does not exist"),
    (("status",), "", 2, "ID"),
    (("watch", "certificate-renewal/nobody"), "", 2, "does not exist"),
    (("abort", "certificate-renewal/nobody", "--reason", "test"), "", 2, "does not exist"),
    (("list", "--type", "Renewal"), "", 2, "CertificateRenewal"),
    (("list", "--limit", "0"), "", 2, "--limit"),
    (("history", "export", "certificate-renewal/nobody", "h.json"), "", 2, "does not exist"),
    (("history", "replay", "nowhere.json"), "", 2, "nowhere.json"),
    (("audit", "verify", "--public-key", "nonsense"), "", 2, "nonsense"),
    (("workers", "run", "certificate"), "", 2, "certificates"),
    (("tools", "install", "temporl"), "", 2, "temporal"),
    (("demo", "certificate"), "", 2, "certificates"),
    (("dev", "--port-offset", "-1"), "", 5, "--port-offset"),
]


@pytest.mark.parametrize(
    ("words", "given", "code", "told"), MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES]
)
def test_a_mistake_is_told_so_that_a_person_can_mend_it(
    embedded: Embedded, words: tuple[str, ...], given: str, code: int, told: str
) -> None:
    _is_clear(embedded.redoubt(*words, given=given), code, told)


@pytest.mark.parametrize(
    "words",
    [
        (*RENEWAL, "-"),
        ("status", "certificate-renewal/www"),
        ("list",),
        ("watch", "certificate-renewal/www"),
        ("schedules", "list"),
        ("history", "export", "certificate-renewal/www", "h.json"),
    ],
    ids=" ".join,
)
def test_a_server_that_is_down_is_named(embedded: Embedded, words: tuple[str, ...], tmp_path: Path) -> None:
    settings = yaml.safe_load((embedded.folder / layout.SETTINGS).read_text())
    settings["temporal"]["address"] = "127.0.0.1:1"
    # Beside the real settings, for references in a settings file are relative to its folder.
    away = embedded.folder / f"{tmp_path.name}.yaml"
    away.touch(mode=0o600)
    away.write_text(yaml.safe_dump(settings))
    ended = redoubt({**layout.environment(embedded.folder), "REDOUBT_CONFIG": str(away)}, *words, given=GOOD)
    _is_clear(ended, 5, "127.0.0.1:1")


def _is_clear(ended: Ended, code: int, told: str) -> None:
    assert ended.code == code, ended.err
    assert told in ended.err
    for never in ("Traceback", "Internal", "canary"):
        assert never not in ended.err
