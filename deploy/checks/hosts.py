"""No file of the repository names a package host: packages come from wherever the user's own settings say.

The names stand here in pieces, or this file would be the first to break its rule.
"""

import re

from deploy.checks.finding import ROOT, Verdict, tracked, verdict

_HOSTS = tuple(
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("maven", "apache", "org", "maven2"),
        ("repo", "maven", "apache", "org"),
        ("repo1", "maven", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
    )
)
_NAMED = re.compile("|".join(rf"(?<![\w-]){re.escape(host)}(?![\w-])" for host in _HOSTS), re.IGNORECASE)


def check() -> Verdict:
    findings = []
    for name in tracked():
        text = (ROOT / name).read_text("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            named = _NAMED.search(line)
            if named:
                findings.append(f"{name}:{number} names {named.group()}")
    return verdict(findings)
