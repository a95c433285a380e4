"""`redoubt certs discover`: what is served out there, and what of it nobody renews.

Each place gets one TLS handshake, whose certificate is read and not trusted; nothing else is sent. It is compared
with what the targets of the inventory hold now. At most `--at-once` places are looked at together.
"""

import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.inventory import Held, inventory
from cli.output import ExitCode, Format, Output, put, say, table
from cli.progress import Steps, steps
from clients.settings import load
from rules.discovery import Finding, Place, Renewed, judge, places, to_add
from schemas.certificates import CertificateFacts
from schemas.errors import RedoubtError
from workers.wiring import Wiring

_LARGEST_LIST: Final = 1 << 20
_COLUMNS: Final = ("place", "renewed", "certificate", "names", "issuer", "not_after", "days_left", "tls")

Places = Annotated[
    list[str] | None,
    typer.Argument(metavar="PLACE", help="HOST:PORT, HOST (443), [IPv6]:PORT or a range 192.0.2.0/28:PORT."),
]
ListFile = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="A file of places, one a line; # begins a comment."),
]
AtOnce = Annotated[int, typer.Option("--at-once", min=1, max=64, help="Places that are looked at together.")]
Within = Annotated[float, typer.Option("--within", min=0.1, max=60, help="Seconds for each place.")]


@dataclass(frozen=True)
class _Seen:
    place: Place
    facts: CertificateFacts | None
    tls: str = ""
    error: str = ""


def discover(
    where: Places = None,
    listed: ListFile = None,
    at_once: AtOnce = 16,
    within: Within = 5.0,
    output: Output = Format.TEXT,
) -> None:
    """Look at what is served, and say what nobody renews.

    Exit code 4 if there is something that nobody renews or that is not what its targets hold; 3 if a place or a
    target could not be looked at.
    """
    wiring = Wiring(load())
    asked = _asked(where or [], listed)
    held = inventory(wiring)
    seen = _look(asked, at_once, within)
    rows = [_row(one, held, list(wiring.settings.issuers)) for one in seen]
    if output is Format.TEXT:
        _draw(rows)
    else:
        table(rows, _COLUMNS, output)
    unread = [f"{one.certificate} on {one.target}: {one.error}" for one in held if one.error]
    unread += [f"{one.place}: {one.error}" for one in seen if one.error]
    for message in unread:
        say(message)
    if any(row["renewed"] in {Renewed.NOBODY, Renewed.STALE} for row in rows):
        raise typer.Exit(ExitCode.VERIFICATION)
    if unread:
        raise typer.Exit(ExitCode.SKIPPED)


def _asked(words: Sequence[str], listed: Path | None) -> list[Place]:
    try:
        found = places([*words, *(_lines(listed) if listed else [])])
    except (ValueError, OSError) as wrong:
        raise typer.BadParameter(str(wrong)) from None
    if not found:
        raise typer.BadParameter("name at least one place, or a file of places with --from")
    return found


def _lines(file: Path) -> list[str]:
    with file.open("rb") as opened:
        content = opened.read(_LARGEST_LIST + 1)
    if len(content) > _LARGEST_LIST:
        raise ValueError(f"{file} has more than {_LARGEST_LIST} bytes")
    lines = (line.partition("#")[0].strip() for line in content.decode("utf-8").splitlines())
    return [line for line in lines if line]


def _look(asked: Sequence[Place], at_once: int, within: float) -> list[_Seen]:
    with steps() as progress, ThreadPoolExecutor(at_once, thread_name_prefix="discover") as threads:
        return list(threads.map(partial(_one, progress, within), asked))


def _one(progress: Steps, within: float, place: Place) -> _Seen:
    from clients.probes.tls import TlsProber  # noqa: PLC0415  # TLS and X.509 load where they are used
    from clients.x509 import X509Reader  # noqa: PLC0415

    progress.doing(str(place), "shaking hands")
    try:
        leaf, tls = TlsProber().leaf(place.host, place.port, place.server_name, within)
        facts = X509Reader().read(ssl.DER_cert_to_PEM_cert(leaf).encode("ascii"))
    except RedoubtError as error:
        return _Seen(place, None, error=error.in_full)
    else:
        return _Seen(place, facts, tls)
    finally:
        progress.ended(str(place))


def _row(seen: _Seen, held: Sequence[Held], issuers: Sequence[str]) -> dict[str, Any]:
    facts = seen.facts
    targets = ((one.certificate, one.settings.names, one.facts) for one in held)
    found = judge(facts, targets) if facts else None
    return {
        "place": str(seen.place),
        "renewed": found.renewed if found else None,
        "certificate": found.certificate if found else "",
        "names": list(facts.names) if facts else [],
        "issuer": facts.issuer if facts else "",
        "fingerprint": facts.fingerprint if facts else "",
        "not_after": f"{facts.not_after:%Y-%m-%d %H:%M}Z" if facts else "",
        "days_left": (facts.not_after - datetime.now(UTC)).days if facts else None,
        "tls": seen.tls,
        "settings": to_add(seen.place, facts, issuers) if facts and _unknown(found) else {},
        "error": seen.error,
    }


def _unknown(found: Finding | None) -> bool:
    return found is not None and found.renewed is Renewed.NOBODY


def _draw(rows: Sequence[dict[str, Any]]) -> None:
    table([row for row in rows if not row["error"]], _COLUMNS, Format.TEXT, empty="No certificate was seen.")
    wanted = {name: entry for row in rows for name, entry in row["settings"].items()}
    if wanted:
        import yaml  # noqa: PLC0415  # only what is to be added is written

        put("\n# Nobody renews these. Complete what is in capitals, and add it to the settings:")
        put(yaml.safe_dump({"certificates": wanted}, sort_keys=False, allow_unicode=True).rstrip())
