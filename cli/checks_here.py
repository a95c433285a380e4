"""Checks of `doctor` on this machine and what the settings name beside Temporal."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from cli.checks import Check, Concern
from cli.checks_answers import clock, directory
from cli.checks_tls import listener_checks
from clients.settings import locate
from clients.settings.shape import references
from clients.temporal.keyring import PayloadRefused
from clients.tools.installer import inspect, needed_for
from clients.tools.table import Purpose, tools
from schemas.errors import InvalidReference, KeyNotFound
from schemas.settings.issuers import AcmeIssuer, LocalIssuer
from store.spool import spooled_lines
from workers.wiring import Wiring

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
            partial(directory, wiring, issuer)
            if isinstance(issuer, AcmeIssuer)
            else partial(_own_ca, wiring, name)
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
    yield Check(
        "codec server",
        partial(_readers, wiring),
        "name whom it shows (docs/codec-server.md), or leave it out",
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
        "open operations",
        partial(_left_open, wiring),
        "what is half-way is put back as it was recorded; docs/certificates.md",
    )
    yield Check(
        "clock", partial(clock, wiring), "synchronise this machine's clock (chrony, systemd-timesyncd)"
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


def _left_open(wiring: Wiring) -> str:
    """On what the settings name no more."""
    from activities.certificates.left_open import left_open  # noqa: PLC0415  # loads where the store is looked at

    found = left_open(wiring.journal(), wiring.settings.certificates)
    if found:
        raise Concern("; ".join(f"{one.words}: {one.what_to_do}" for one in found))
    return "none on what the settings name no more"


def _spool(wiring: Wiring) -> str:
    waiting = spooled_lines(Path(wiring.settings.evidence.spool))
    if waiting:
        raise Concern(f"{waiting} lines wait to be recorded")
    return "empty"


def _tools() -> str:
    wanted = set(needed_for(Purpose.DEV))
    missing = [tool.name for tool in tools() if tool.name in wanted and inspect(tool).status == "missing"]
    if missing:
        raise Concern(f"not on this machine: {', '.join(missing)} (needed for redoubt dev)")
    return "all that redoubt dev needs are here"


def _readers(wiring: Wiring) -> str:
    given = wiring.settings.codec_server
    if wiring.settings.policy.root_sha256 is None:
        return "without a policy, whoever has the token or the secret path may decode"
    shared = {"token": (given.token, given.token_principal)}
    shared["secret_path"] = (given.secret_path, given.secret_path_principal)
    unnamed = [name for name, (secret, principal) in shared.items() if secret and not principal]
    if unnamed:
        raise Concern(
            f"with a policy it shows nobody, so it opens nothing: codec_server.{', '.join(unnamed)}"
        )
    return "who decodes is known"


def _policy(wiring: Wiring) -> str:
    held = wiring.policies().current()
    if held is None:
        raise Concern("no policy holds: whoever reaches Temporal or the command may start anything")
    return f"version {held.policy.version} holds and verifies"
