"""The egress client (port `clients.egress`) on `requests`: sessions a thread, kept open between exchanges."""

import ssl
import threading
from pathlib import Path
from typing import Final, TypeVar

import requests

from clients.egress import Answer, Request
from clients.egress.connections import CheckedAdapter, Resolve, resolve
from clients.egress.deadline import Deadline
from rules.addresses import place_of, redirected
from schemas.errors import DependencyUnavailable, EgressRefused, RedoubtError

REDIRECTS: Final = 3
_CHUNK: Final = 1 << 16
_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = frozenset((301, 302, 303, 307, 308))

T = TypeVar("T")


class EgressClient:
    def __init__(
        self, allow: tuple[str, ...], ca_file: str | None = None, *, look_up: Resolve = resolve
    ) -> None:
        """`allow` are the networks of the settings; `ca_file` is PEM roots, else the system's."""
        self._allow = allow
        self._look_up = look_up
        self._verify = ca_file or _system_roots()
        self._threads = threading.local()

    def send(self, request: Request) -> Answer:
        try:
            response = self.exchange(request)
        except requests.RequestException as error:
            raise DependencyUnavailable(
                f"Where the URL of {request.source} leads did not answer ({type(error).__name__})."
            ) from error
        return Answer(response.status_code, _content_type(response), response.content)

    def exchange(self, request: Request) -> requests.Response:
        """The answer, read to its end. Raises `EgressRefused`, or `requests.RequestException` where nobody answers."""
        with Deadline(request.within_s) as deadline:
            try:
                return self._followed(request, deadline)
            except requests.RequestException as error:
                if deadline.over:
                    raise _too_slow(request) from error
                raise

    def _followed(self, request: Request, deadline: Deadline) -> requests.Response:
        url = request.url
        for _ in range(REDIRECTS + 1):
            response = self._once(request, url, deadline)
            if response.status_code not in _REDIRECT:
                return response
            if request.method == "POST":
                raise _refused(request, "it answers a POST with a redirect")
            location = response.headers.get("Location", "")
            try:
                url = redirected(url, location, plain=request.plain)
            except ValueError as wrong:
                raise _refused(request, f"its redirect can't be followed, since {wrong}") from None
        raise _refused(request, f"it redirects more than {REDIRECTS} times")

    def _once(self, request: Request, url: str, deadline: Deadline) -> requests.Response:
        try:
            place_of(url, plain=request.plain)
        except ValueError as wrong:
            raise _refused(request, str(wrong)) from None
        response = self._session.request(
            request.method,
            url,
            data=request.body,
            headers={**request.headers, "Accept-Encoding": "identity"},
            verify=self._verify,
            timeout=deadline.left_s,
            stream=True,
            allow_redirects=False,
        )
        with response:
            body = _read(request, response)
        if deadline.over:  # an end that the deadline made looks like the end of a body without a length
            raise _too_slow(request)
        response._content = body  # noqa: SLF001 - the way requests itself keeps a body that was read
        response.encoding = "utf-8"
        _refuse_other_types(request, response)
        return response

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = False
            session.cookies.set_policy(_NoCookies())
            adapter = CheckedAdapter(self._allow, self._look_up)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            self._threads.session = session
        return session


class _NoCookies(requests.cookies.cookielib.DefaultCookiePolicy):  # type: ignore[misc,name-defined]
    """A cookie would tell one answer's giver of the next request."""

    def set_ok(self, cookie: object, request: object) -> bool:  # noqa: ARG002 - the base class's signature
        return False


def _read(request: Request, response: requests.Response) -> bytes:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _refused(request, "its answer is compressed, which was not asked for")
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > request.largest:
            raise _refused(request, f"its answer has more than {request.largest} bytes")
    return bytes(body)


def _refuse_other_types(request: Request, response: requests.Response) -> None:
    if not request.content_types or response.status_code not in _SUCCESS or not response.content:
        return
    if _content_type(response) not in request.content_types:
        raise _refused(request, f"its answer is not {' or '.join(request.content_types)}")


def _content_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _refused(request: Request, why: str) -> RedoubtError:
    return EgressRefused(f"A URL of {request.source} was left alone: {why}.")


def _too_slow(request: Request) -> requests.Timeout:
    return requests.ReadTimeout(f"no complete answer within {request.within_s:.0f} s")


def _system_roots() -> str | bool:
    """The system's file of roots; where there is none, those that come with `requests`."""
    file = ssl.get_default_verify_paths().cafile
    return file if file and Path(file).is_file() else True
