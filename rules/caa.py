"""Whether CAA records let a CA issue for a name (RFC 8659, with the account and method bindings of RFC 8657).

Rules:
- The records that count are those at the name, else at its nearest ancestor that has any; a wildcard's search begins
  at the name below which it stands.
- A critical record whose tag is not known forbids. Without any record of the kind that counts, everyone may issue.
- For a wildcard `issuewild` records count, where there are any; else, and for every other name, `issue` records do.
- One record that names the CA, with parameters that fit, is enough. One that can't be read names nobody.
- What isn't known here (our account's URL) is not judged: the CA judges it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_CRITICAL = 0x80
_KNOWN = frozenset(("issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"))
"""IANA's registry of property tags, without those that are reserved."""
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_PARAMETER = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)[ \t]*=[ \t]*([\x21-\x3a\x3c-\x7e]*)")
_SHOWN = 120
_MOST_IDENTITIES = 32


@dataclass(frozen=True)
class Record:
    flags: int
    tag: str
    value: str


@dataclass(frozen=True)
class Asker:
    """Who would issue, and how."""

    identities: tuple[str, ...]
    """The domain names by which the CA knows itself in CAA records."""
    method: str | None = None
    """How control is shown: `http-01`, `dns-01`, …"""
    account: str | None = None
    """Our account's URL at the CA."""


def identities(offered: object) -> tuple[str, ...]:
    """What a CA's directory gives as its names (RFC 8555, 7.1.1), without what is no domain name."""
    given = offered if isinstance(offered, list | tuple) else ()
    domains = (one for one in given[:_MOST_IDENTITIES] if isinstance(one, str) and _DOMAIN.fullmatch(one))
    return tuple(domains)


def places(name: str) -> tuple[str, ...]:
    """Where to look, in order, until records are found."""
    labels = name.removeprefix("*.").rstrip(".").split(".")
    return tuple(".".join(labels[start:]) for start in range(len(labels)))


def binds_account(records: Iterable[Record]) -> bool:
    """Whether our account's URL makes a difference."""
    return any("accounturi" in record.value.lower() for record in records)


def forbidding(name: str, records: Sequence[Record], asker: Asker) -> Record | None:
    """The record that forbids it, or the first of several that all name others; None if the CA may issue."""
    for record in records:
        if record.flags & _CRITICAL and record.tag.lower() not in _KNOWN:
            return record
    counting = _counting(name, records)
    if not counting or any(_names(record.value, asker) for record in counting):
        return None
    return counting[0]


def in_words(record: Record) -> str:
    """As a zone file has it, without what could not be shown."""
    value = "".join(sign if sign.isprintable() and sign != '"' else "?" for sign in record.value[:_SHOWN])
    tag = "".join(sign if sign.isalnum() else "?" for sign in record.tag[:15])
    return f'{record.flags} {tag} "{value}"'


def _counting(name: str, records: Sequence[Record]) -> list[Record]:
    wild = [record for record in records if record.tag.lower() == "issuewild"]
    if name.startswith("*.") and wild:
        return wild
    return [record for record in records if record.tag.lower() == "issue"]


def _names(value: str, asker: Asker) -> bool:
    domain, _, rest = value.partition(";")
    domain = domain.strip(" \t")
    if not _DOMAIN.fullmatch(domain) or domain.lower() not in {one.lower() for one in asker.identities}:
        return False
    parameters = _parameters(rest)
    return parameters is not None and _fits(parameters, asker)


def _parameters(text: str) -> list[tuple[str, str]] | None:
    """Tags in lower case; None if they can't be read."""
    found = [_PARAMETER.fullmatch(part.strip(" \t")) for part in text.split(";") if part.strip(" \t")]
    read = [(one[1].lower(), one[2]) for one in found if one is not None]
    return read if len(read) == len(found) else None


def _fits(parameters: list[tuple[str, str]], asker: Asker) -> bool:
    accounts = [value for tag, value in parameters if tag == "accounturi"]
    methods = [value.split(",") for tag, value in parameters if tag == "validationmethods"]
    if len(accounts) > 1 or len(methods) > 1:
        return False
    if asker.account is not None and accounts and accounts[0] != asker.account:
        return False
    return asker.method is None or not methods or asker.method in methods[0]
