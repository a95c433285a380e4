"""Where a revocation list comes from: from the issuer of ours that signs it, else from the address itself.

- Which issuer may answer is told by its settings, so nobody is asked, and no breaker counts, for another's address.
- From outside only an answer of status 200 is a list; whatever else a web server says of an address is none.
"""

from collections.abc import Callable, Mapping

from clients.egress import Egress, Request
from clients.issuers import Issuer, ServesLists
from clients.revocation.lists import LARGEST_LIST
from schemas.errors import DependencyUnavailable
from schemas.settings.issuers import IssuerSettings, LocalIssuer, VaultPkiIssuer

_FOUND = 200


def fetched(
    url: str,
    issuers: Mapping[str, IssuerSettings],
    issuer: Callable[[str], Issuer],
    egress: Callable[[], Egress],
) -> bytes:
    """The list at this URL of a certificate. Raises `DependencyUnavailable`, `EgressRefused`, or as the issuer does."""
    for name, given in issuers.items():
        if not _may_answer(given, url):
            continue
        own = issuer(name)
        content = own.crl_at(url) if isinstance(own, ServesLists) else None
        if content is not None:
            return content
    answer = egress().send(Request(url=url, source="a certificate", plain=True, largest=LARGEST_LIST))
    if answer.status != _FOUND:
        raise DependencyUnavailable(f"The address of a revocation list answered with status {answer.status}.")
    return answer.body


def _may_answer(given: IssuerSettings, url: str) -> bool:
    if isinstance(given, LocalIssuer):
        return url == given.crl_url
    return isinstance(given, VaultPkiIssuer) and url.startswith(f"{given.vault.address.rstrip('/')}/")
