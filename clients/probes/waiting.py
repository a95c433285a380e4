"""Wait until a server really shows what it was told to serve.

One good handshake is not enough: after a reload a server's old workers answer beside the new ones for a moment.
`rules.versions.Streak` says when it is enough.
"""

import time
from collections.abc import Callable

from clients.probes import Handshake, Prober
from rules.versions import Streak
from schemas.errors import VerificationFailed

_PAUSE_S = 0.1
_ONE_HANDSHAKE_S = 5.0
_ENOUGH = Streak()


def _nothing() -> None:
    """The caller has no way to ask again."""


def wait_until_served(  # noqa: PLR0913 - where to look, what must be seen there, and for how long to look
    prober: Prober,
    host: str,
    port: int,
    server_name: str,
    roots: bytes,
    *,
    expected: str,
    within_s: float,
    beat: Callable[[], None],
    trusted: bool = True,
    again: Callable[[], None] = _nothing,
    enough: Streak = _ENOUGH,
) -> Handshake:
    """The last of the handshakes that settled it; `beat` is called before each.

    `again` is called once, when half of the time is over: a service that could not read the new files at the moment of
    its reload (a token was busy, say) goes on with the old ones and tells nobody.

    `trusted=False` is for putting back what was there before: an old certificate may have run out.
    Raises `VerificationFailed` that says what was seen last.
    """
    deadline, streak, seen = time.monotonic() + within_s, enough, "nothing was tried"
    asked_again = False
    while (left := deadline - time.monotonic()) > 0:
        beat()
        if left < within_s / 2 and not asked_again and not streak.length:
            again()
            asked_again = True
        try:
            shown = prober.handshake(host, port, server_name, roots, min(left, _ONE_HANDSHAKE_S))
        except VerificationFailed as error:
            streak, seen = streak.saw(wanted=False, at=time.monotonic()), error.detail
        else:
            wanted = shown.fingerprint == expected and (shown.trusted or not trusted)
            streak, seen = streak.saw(wanted=wanted, at=time.monotonic()), _told(shown, expected)
            if streak.settled:
                return shown
        time.sleep(_PAUSE_S)
    raise VerificationFailed(
        f"{host}:{port} did not steadily serve {expected[:16]}… for {server_name} within {within_s:g} s: {seen}"
    )


def _told(shown: Handshake, expected: str) -> str:
    if shown.fingerprint != expected:
        return f"it serves {shown.fingerprint[:16]}…."
    if not shown.trusted:
        return f"it serves it, but it does not verify ({shown.detail})."
    return "it serves it, but not for long enough yet."
