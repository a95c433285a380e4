"""The vendor's own download, checked against the checksum that is pinned in the table.

HTTPS all the way, redirects too; never more than the table allows; an interrupted download goes on where it
stopped. What does not match the checksum is refused and deleted.
"""

import hashlib
import pathlib
import platform
import ssl
import time

import httpx

from clients.tools import archive, cache
from clients.tools.table import Archive, DownloadWay, Tool
from clients.tools.way import Say, Unobtainable

_ATTEMPTS = 3
_WHOLE_TIMEOUT_S = 900
_TIMEOUT = httpx.Timeout(30, connect=8)
_MIB = 1 << 20
_FAILED = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError)
"""Whatever else the library raises: redirects without an end, an address or a proxy's that is none."""


def system() -> str:
    """What the table calls this kind of machine: `linux-x86_64`, `darwin-arm64`."""
    return f"{platform.system()}-{platform.machine()}".lower()


class Download:
    heavy = False

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context or ssl.create_default_context()

    def get(self, recipe: DownloadWay, tool: Tool, into: pathlib.Path, say: Say) -> None:
        wanted = recipe.archives.get(system())
        if wanted is None:
            raise Unobtainable(f"the vendor's download for {system()} is not in the table")
        part = cache.root() / "downloads" / f"{wanted.sha256}.part"
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        limit = recipe.max_mib * _MIB
        self._fetch(wanted, part, limit, say)
        _check(part, wanted)
        say("unpacking")
        if recipe.members:
            archive.take(part, recipe.members, into / "bin", limit)
            part.unlink()
        else:
            (into / "bin").mkdir(mode=0o755)
            part.replace(into / "bin" / tool.files[0].name)

    def _fetch(self, wanted: Archive, part: pathlib.Path, limit: int, say: Say) -> None:
        say(f"downloading {wanted.url}")
        try:
            self._attempt(wanted, part, limit, say)
        except _FAILED as error:
            raise Unobtainable(f"the download failed: {type(error).__name__}: {error}") from error

    def _attempt(self, wanted: Archive, part: pathlib.Path, limit: int, say: Say) -> None:
        deadline = time.monotonic() + _WHOLE_TIMEOUT_S
        with httpx.Client(verify=self._context, timeout=_TIMEOUT, follow_redirects=True) as client:
            client.event_hooks = {"request": [_only_https]}
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return _stream(client, wanted.url, part, _Bounds(limit, deadline), say)
                except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
                    raise Unobtainable(f"{httpx.URL(wanted.url).host} can't be reached: {error}") from error
                except httpx.TransportError as error:
                    if attempt == _ATTEMPTS:
                        raise Unobtainable(f"the download broke off {_ATTEMPTS} times: {error}") from error
                    say("the download broke off; going on where it stopped")
        return None


class _Bounds:
    def __init__(self, limit: int, deadline: float) -> None:
        self.limit = limit
        self.deadline = deadline

    def check(self, size: int, part: pathlib.Path) -> None:
        if size > self.limit:
            part.unlink(missing_ok=True)
            raise Unobtainable(f"the download is larger than the {self.limit // _MIB} MiB allowed")
        if time.monotonic() > self.deadline:
            raise Unobtainable(
                f"the download took longer than {_WHOLE_TIMEOUT_S} s; what came is kept for next time"
            )


def _stream(client: httpx.Client, url: str, part: pathlib.Path, bounds: _Bounds, say: Say) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = (
        {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
        if have
        else {"Accept-Encoding": "identity"}
    )
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here already; the checksum decides
        if answer.status_code not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
            raise Unobtainable(f"the vendor's server answered {answer.status_code}")
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        size = have if goes_on else 0
        bounds.check(size + int(answer.headers.get("Content-Length", 0)), part)
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in answer.iter_raw():
                size += len(chunk)
                bounds.check(size, part)
                file.write(chunk)
                say(f"downloading: {size // _MIB} MiB")


def _only_https(request: httpx.Request) -> None:
    if request.url.scheme != "https":
        raise Unobtainable(f"the download was redirected to {request.url.scheme}, which is refused")


def _check(part: pathlib.Path, wanted: Archive) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted.sha256:
        part.unlink()
        raise Unobtainable(f"the checksum of what came is {found}, not the pinned {wanted.sha256}: refused")
