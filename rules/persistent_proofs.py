"""The lasting TXT record of dns-persist-01 (draft-ietf-acme-dns-persist), written and read as RFC 8659 writes CAA.

Invariants:
- What `record` writes, `allows` accepts, for the same account, and for a wildcard only if it was written for one.
- A record of another CA or account, past its `persistUntil`, or one that can't be read, allows nothing.
- Tags and the policy's value are compared without regard to case; of a tag given twice nothing is believed.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

LABEL: Final = "_validation-persist"
_BLANK: Final = " \t"
_WILDCARD: Final = "wildcard"


def record(issuer_domain: str, account: str, *, wildcard: bool) -> str:
    policy = f"; policy={_WILDCARD}" if wildcard else ""
    return f"{issuer_domain}; accounturi={account}{policy}"


def allows(
    text: str, issuer_domains: Collection[str], account: str, *, wildcard: bool, now: datetime
) -> bool:
    """Whether a CA of one of these domains may validate by it, for this account."""
    domain, *rest = (part.strip(_BLANK) for part in text.split(";"))
    tags = _tags(rest)
    if domain not in issuer_domains or tags is None or tags.get("accounturi") != account:
        return False
    if wildcard and tags.get("policy", "").lower() != _WILDCARD:
        return False
    until = tags.get("persistuntil")
    return until is None or (until.isascii() and until.isdigit() and now.timestamp() <= int(until))


def _tags(parts: list[str]) -> dict[str, str] | None:
    """Tag to value; None if they can't be read."""
    tags: dict[str, str] = {}
    for part in parts:
        tag, equals, value = (piece.strip(_BLANK) for piece in part.partition("="))
        if not tag or not equals or tag.lower() in tags:
            return None
        tags[tag.lower()] = value
    return tags
