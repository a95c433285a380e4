"""Checks of `doctor` on what answers by HTTP: the Web UI, the CAs, and this machine's clock by what they say."""

import email.utils
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import httpx
import requests

from cli.checks import Concern
from clients.egress import Request
from clients.egress.client import EgressClient
from schemas.errors import CaUnavailable, DependencyUnavailable, RedoubtError
from schemas.settings.issuers import AcmeIssuer
from workers.wiring import Wiring

_TIMEOUT_S: Final = 5.0
_SKEW: Final = timedelta(seconds=30)


def directory(wiring: Wiring, issuer: AcmeIssuer) -> str:
    """Reachable as the issuer reaches it, over verified TLS, and an ACME directory."""
    try:
        _from_ca(wiring, issuer).json()["newOrder"]
    except (requests.RequestException, ValueError, OSError, KeyError, TypeError) as error:
        raise CaUnavailable(f"{issuer.directory} is no ACME directory now: {type(error).__name__}.") from None
    return issuer.directory


def clock(wiring: Wiring) -> str:
    """Compared with whoever answers by HTTP: the Web UI, or a CA."""
    ui = wiring.settings.temporal.web_ui
    asked: list[tuple[str, Callable[[], str]]] = [(ui, lambda: _headers(ui)["date"])]
    issuers = [one for one in wiring.settings.issuers.values() if isinstance(one, AcmeIssuer)]
    asked += [(one.directory, partial(_date, wiring, one)) for one in issuers]
    for url, ask in asked:
        try:
            said = email.utils.parsedate_to_datetime(ask())
        except (httpx.HTTPError, requests.RequestException, RedoubtError, KeyError, ValueError, OSError):
            continue
        skew = abs(datetime.now(UTC) - said)
        if skew > _SKEW:
            raise Concern(f"{skew.total_seconds():.0f} s away from {url}")
        return f"within {_SKEW.total_seconds():.0f} s of {url}"
    raise Concern("nothing answered that the clock could be compared with")


def web_ui(wiring: Wiring) -> str:
    url = wiring.settings.temporal.web_ui
    try:
        _headers(url)
    except (httpx.HTTPError, OSError) as error:
        raise DependencyUnavailable(f"{url} does not answer: {type(error).__name__}.") from None
    return url


def _headers(url: str) -> httpx.Headers:
    """The body is left unread, however long it is."""
    with httpx.stream("GET", url, timeout=_TIMEOUT_S, trust_env=False) as answer:
        return (answer.raise_for_status() if answer.is_error else answer).headers


def _date(wiring: Wiring, issuer: AcmeIssuer) -> str:
    return _from_ca(wiring, issuer).headers["date"]


def _from_ca(wiring: Wiring, issuer: AcmeIssuer) -> requests.Response:
    """Its directory. Raises `EgressRefused`, and as `requests` does."""
    egress = EgressClient(wiring.settings.egress.allow, issuer.ca_file)
    answer = egress.exchange(Request(issuer.directory, "the settings", within_s=_TIMEOUT_S))
    answer.raise_for_status()
    return answer
