"""Checks of `doctor` on this machine and what the settings name beside Temporal."""

import email.utils
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from cli.checks import Check, Concern
from cli.checks_tls import listener_checks
from clients.settings import locate
from clients.settings.shape import references
from clients.temporal.keyring import PayloadRefused
from clients.tools.installer import inspect, needed_for
from clients.tools.table import Purpose, tools
from schemas.errors import CaUnavailable, DependencyUnavailable, InvalidReference, KeyNotFound
from schemas.settings.issuers import AcmeIssuer, LocalIssuer
from store.spool import spooled_lines
from workers.wiring import Wiring

_TIMEOUT_S: Final = 5.0
_SKEW: Final = timedelta(seconds=30)
_BACKLOG: Final = 1000


def local_checks(wiring: Wiring) -> Iterator[Check]:
    settings = wiring.settings
    yield Check("settings file", _file, "chmod go-w the settings file")
    for name, reference in references(settings):
        look = partial(_secret, wiring, reference)
        yield Check(
            f"secret {name}", look, "redoubt init makes what is missing; chmod 600 what is open to others"
        )
    yield Check("payload keys", partial(_payload_keys, wiring), "redoubt codec rotate makes the first key")
    for name in settings.key_stores:
        look = partial(_answers, partial(_key_store, wiring, name), "it can sign")
        yield Check(f"key store {name}", look, "check the token, its module and its PIN in key_stores")
    for name, issuer in settings.issuers.items():
        local = isinstance(issuer, LocalIssuer)
        look = (
            partial(_directory, issuer) if isinstance(issuer, AcmeIssuer) else partial(_own_ca, wiring, name)
        )
        yield Check(
            f"issuer {name}", look, "check its key store" if local else "check the CA's status and ca_file"
        )
    yield Check(
        "records",
        partial(_answers, wiring.check_records, "can be written"),
        "check store.url and the database",
    )
    yield Check(
        "policy", partial(_policy, wiring), "redoubt policy check, then sign and apply: docs/policies.md"
    )
    migrate = "redoubt store migrate"
    yield Check("records' schema", partial(_answers, wiring.check_schema, "is the newest"), migrate)
    yield Check(
        "evidence backlog", partial(_backlog, wiring), "redoubt workers run audit moves it into the log"
    )
    yield Check(
        "spool", partial(_spool, wiring), "it is recorded when the store answers: redoubt workers run audit"
    )
    yield Check(
        "clock", partial(_clock, wiring), "synchronise this machine's clock (chrony, systemd-timesyncd)"
    )
    yield from listener_checks(settings)
    yield Check("tools", _tools, "redoubt tools install")


def _file() -> str:
    file = locate()
    if file.stat().st_mode & 0o022:
        raise InvalidReference(f"{file} can be written by others, who could point it to other secrets.")
    return str(file)


def _secret(wiring: Wiring, reference: str) -> str:
    wiring.secrets().resolve(reference)
    return f"{reference.partition(':')[0]}: reference, can be followed"


def _payload_keys(wiring: Wiring) -> str:
    try:
        key = wiring.key_ring().current()
    except PayloadRefused as refused:
        raise KeyNotFound(str(refused)) from None
    return f"{key.id} encrypts"


def _key_store(wiring: Wiring, name: str) -> None:
    wiring.key_store(name).check()


def _answers(check: Callable[[], None], words: str) -> str:
    check()
    return words


def _directory(issuer: AcmeIssuer) -> str:
    """Reachable over verified TLS, and an ACME directory."""
    try:
        _get(issuer.directory, issuer.ca_file).json()["newOrder"]
    except (httpx.HTTPError, ValueError, OSError, KeyError, TypeError) as error:
        raise CaUnavailable(f"{issuer.directory} is no ACME directory now: {type(error).__name__}.") from None
    return issuer.directory


def _own_ca(wiring: Wiring, name: str) -> str:
    wiring.issuer(name).trust_anchors()
    return "its root can be read"


def _backlog(wiring: Wiring) -> str:
    from sqlalchemy import func, select  # noqa: PLC0415  # loads where the store is looked at

    from store.sql.engine import reading  # noqa: PLC0415
    from store.sql.models import evidence, log  # noqa: PLC0415

    last = select(func.coalesce(func.max(log.c.evidence_id), 0)).scalar_subquery()
    with reading(wiring.engine()) as connection:
        waiting = connection.execute(select(func.count()).where(evidence.c.id > last)).scalar_one()
    if waiting > _BACKLOG:
        raise Concern(f"{waiting} rows wait for the sequencer")
    return f"{waiting} rows wait for the sequencer"


def _spool(wiring: Wiring) -> str:
    waiting = spooled_lines(Path(wiring.settings.evidence.spool))
    if waiting:
        raise Concern(f"{waiting} lines wait to be recorded")
    return "empty"


def _clock(wiring: Wiring) -> str:
    """Compared with whoever answers by HTTP: the Web UI, or a CA."""
    issuers = [one for one in wiring.settings.issuers.values() if isinstance(one, AcmeIssuer)]
    for url, trust in (
        (wiring.settings.temporal.web_ui, None),
        *((one.directory, one.ca_file) for one in issuers),
    ):
        try:
            said = email.utils.parsedate_to_datetime(_get(url, trust).headers["date"])
        except (httpx.HTTPError, KeyError, ValueError, OSError):
            continue
        skew = abs(datetime.now(UTC) - said)
        if skew > _SKEW:
            raise Concern(f"{skew.total_seconds():.0f} s away from {url}")
        return f"within {_SKEW.total_seconds():.0f} s of {url}"
    raise Concern("nothing answered that the clock could be compared with")


def _tools() -> str:
    wanted = set(needed_for(Purpose.DEV))
    missing = [tool.name for tool in tools() if tool.name in wanted and inspect(tool).status == "missing"]
    if missing:
        raise Concern(f"not on this machine: {', '.join(missing)} (needed for redoubt dev)")
    return "all that redoubt dev needs are here"


def web_ui(wiring: Wiring) -> str:
    url = wiring.settings.temporal.web_ui
    try:
        _get(url, None)
    except (httpx.HTTPError, OSError) as error:
        raise DependencyUnavailable(f"{url} does not answer: {type(error).__name__}.") from None
    return url


def _get(url: str, trust: str | None) -> httpx.Response:
    verified = ssl.create_default_context(cafile=trust)
    answer = httpx.get(url, verify=verified, timeout=_TIMEOUT_S, trust_env=False)
    return answer.raise_for_status() if answer.is_error else answer


def _policy(wiring: Wiring) -> str:
    held = wiring.policies().current()
    if held is None:
        raise Concern("no policy holds: whoever reaches Temporal or the command may start anything")
    return f"version {held.policy.version} holds and verifies"
