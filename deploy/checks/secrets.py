"""No secret is committed: every tracked file is scanned, and what looks like a secret must be explained.

An explanation is a row of secrets.toml: a file (pattern), the detectors that may be wrong there, and why. A single
line is explained by the comment `pragma: allowlist secret` at its end.
"""

import fnmatch
import pathlib
import tomllib

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings

from deploy.checks.finding import ROOT, Verdict, tracked, verdict

_EXPLAINED = pathlib.Path(__file__).with_name("secrets.toml")
_REFERENCE = r"^(file|env|vault):"
"""Secrets are given by reference; a reference is none."""

Explanations = list[tuple[str, frozenset[str]]]


def check() -> Verdict:
    return verdict(scan(ROOT, tracked(), explanations()))


def explanations() -> Explanations:
    rows = tomllib.loads(_EXPLAINED.read_text("utf-8"))["explained"]
    return [(row["files"], frozenset(row["detectors"])) for row in rows]


def scan(root: pathlib.Path, names: list[pathlib.Path], explained: Explanations) -> list[str]:
    """A line for each unexplained find; the find itself is never printed."""
    found = SecretsCollection(root=str(root))
    with default_settings() as settings:
        settings.filters["detect_secrets.filters.regex.should_exclude_secret"] = {"pattern": [_REFERENCE]}
        for name in names:
            found.scan_file(str(name))
    return [
        f"{name}:{secret.line_number} looks like a secret ({secret.type})"
        for name, secret in found
        if not any(fnmatch.fnmatch(name, files) and secret.type in kinds for files, kinds in explained)
    ]
