"""What of an error's words a client may read: no path of a host, no stack, no SQL.

Rules and invariants:
- An absolute path (`/srv/x/site.conf`, `~/x`, `file:///x`) keeps its last name, as `…/site.conf`. One in quotes may
  hold spaces; one that stands bare ends at the first.
- From where a stack or an SQL statement begins, nothing is kept. SQL is known by its keywords in capitals.
- URLs, relative names and all else stay letter for letter, and so does what was redacted before.
"""

import re
from typing import Final

REST: Final = "(the log has the rest)"

_ROOT: Final = r"(?:(?<=:)(?:/(?!/)|/{3,})|(?<![\w.…/\]:~-])(?:~\w*)?/+)"
"""Where an absolute path begins; behind a colon, two slashes begin a host's name."""

_PATH: Final = re.compile(
    rf"""(?P<quote>["'`]){_ROOT}(?P<quoted>[^\s/"'`][^"'`\n]*)(?P=quote)"""
    rf"""|{_ROOT}(?P<bare>[^\s/"'`,;:)\]}}>][^\s"'`]*)"""
)
_PUNCTUATION: Final = ".,;:!?)]}>/"
_NAMED_BY_PUNCTUATION: Final = re.compile(r"/[^/]+/")
"""A folder `:` is no end of a sentence: with it, the last word that is left would be a folder's."""
_UNKEPT: Final = re.compile(
    r"""Traceback\ \(most\ recent|\bFile\ "[^"]*",\ line\ \d|\bgoroutine\ \d+\ \[|\bat\ [\w.$]+\([\w$]+\.java:\d
    |\b(?:SELECT\s.{1,400}?\sFROM|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|(?:CREATE|ALTER|DROP)\s+[A-Z]+)\b""",
    re.VERBOSE | re.DOTALL,
)


def redacted(words: str) -> str:
    if unkept := _UNKEPT.search(words):
        words = f"{words[: unkept.start()]}{REST}"
    return _PATH.sub(_last_name, words)


def _last_name(found: re.Match[str]) -> str:
    quote = found["quote"] or ""
    path = found["quoted"] or found["bare"]
    whole = path.rstrip(_PUNCTUATION)
    if not whole:
        return found[0]
    tail = path[len(whole) :]
    if _NAMED_BY_PUNCTUATION.search(tail):
        return f"{quote}…{quote}"
    end = "" if quote else tail.lstrip("/")
    return f"{quote}…/{whole.rpartition('/')[2]}{end}{quote}"
