"""The sessions of one store on its token, and what is done when they are lost.

- Sessions are pooled; the log-in is the token's, so the first session logs in for all. The PIN is resolved for
  that moment and our copy of it overwritten.
- A PIN that was refused is never sent again by this pool, and none is sent when the token has one try left:
  a token that locks itself is worse than one that waits for a person.
- When a session, the log-in or the token is gone, an operation is tried once more on a new connection, and then
  it is `KeyStoreUnavailable`. If that takes a new initialisation of the module, which costs every other store
  on it its sessions, it is done at most once in `renew_every_s`.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pkcs11
from pkcs11 import TokenFlag, exceptions
from pkcs11.exceptions import PKCS11Error

from clients.keystores.cryptoki import PIN_REJECTED, Module, tell_of_forks
from schemas.errors import KeyStoreUnavailable, KeyUnsuitable, PinRejected, RedoubtError

_MAX_SESSIONS = 16
_WAIT_S = 30.0
_Result = TypeVar("_Result")

_NOT_OFFERED = (
    exceptions.MechanismInvalid,
    exceptions.MechanismParamInvalid,
    exceptions.DomainParamsInvalid,
    exceptions.TemplateInconsistent,
    exceptions.AttributeTypeInvalid,
    exceptions.AttributeValueInvalid,
    exceptions.KeySizeRange,
    exceptions.KeyTypeInconsistent,
    exceptions.FunctionNotSupported,
)
_SESSION_GONE = (
    exceptions.SessionHandleInvalid,
    exceptions.SessionClosed,
    exceptions.UserNotLoggedIn,
    exceptions.KeyHandleInvalid,
    exceptions.ObjectHandleInvalid,
)


@dataclass
class Line:
    """One session, and the keys whose handles it knows."""

    module: Module
    session: pkcs11.Session
    generation: int
    epoch: int
    keys: dict[bytes, pkcs11.PrivateKey] = field(default_factory=dict)

    def logged_in(self) -> bool:
        return self.module.logged_in(self.session)


class Sessions:
    def __init__(
        self, store: str, module: Path, token: str, pin: Callable[[], bytes], *, renew_every_s: float = 5.0
    ) -> None:
        self._store = store
        self._module_path = module
        self._token = token
        self._pin = pin
        self._renew_every_s = renew_every_s
        self._renewed_at = -renew_every_s
        self._rejected = ""
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_MAX_SESSIONS)
        self._idle: list[Line] = []
        self._epoch = 1

    def run(self, operate: Callable[[Line], _Result]) -> _Result:
        """The operation's result, on a session that is logged in; once more on a new one if that was lost."""
        module = Module.of(self._module_path)
        try:
            return self._once(module, operate)
        except _NOT_OFFERED as error:
            raise KeyUnsuitable(f"The token of key store {self._store} does not offer this.") from error
        except PKCS11Error as error:
            self._reconnect(module, error)
        try:
            return self._once(module, operate)
        except PKCS11Error as error:
            raise self._unavailable(error) from error

    def forget_handles(self) -> None:
        """No session uses a handle that it found before now."""
        with self._lock:
            self._epoch += 1

    def _once(self, module: Module, operate: Callable[[Line], _Result]) -> _Result:
        if not self._free.acquire(timeout=_WAIT_S):
            raise KeyStoreUnavailable(f"Every session of key store {self._store} is busy.")
        try:
            with module.used() as generation:
                line = self._take(module, generation)
                try:
                    result = operate(line)
                except PKCS11Error:
                    # An operation may still be open on it: it can't be used again.
                    _hang_up(line)
                    raise
                self._give(line)
                return result
        finally:
            self._free.release()

    def _take(self, module: Module, generation: int) -> Line:
        with self._lock:
            while self._idle:
                line = self._idle.pop()
                if line.generation == generation:
                    return self._current(line)
            return self._connected(module, generation)

    def _current(self, line: Line) -> Line:
        if line.epoch != self._epoch:
            line.keys.clear()
            line.epoch = self._epoch
        return line

    def _give(self, line: Line) -> None:
        with self._lock:
            self._idle.append(line)

    def _connected(self, module: Module, generation: int) -> Line:
        token = module.token(self._token)
        session = token.open(rw=True)
        line = Line(module, session, generation, self._epoch)
        if not module.logged_in(session):
            try:
                self._log_in(module, token, session)
            except BaseException:
                _hang_up(line)
                raise
        return line

    def _log_in(self, module: Module, token: pkcs11.Token, session: pkcs11.Session) -> None:
        if self._rejected:
            raise PinRejected(f"Key store {self._store}: the PIN was {self._rejected}.")
        if token.flags & (TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED):
            raise PinRejected(
                f"Key store {self._store}: the token has at most one try left, which is a person's."
            )
        pin = bytearray(self._pin())
        try:
            answer = module.login(session, pin)
        finally:
            pin[:] = bytes(len(pin))
        if answer in PIN_REJECTED:
            self._rejected = PIN_REJECTED[answer]
            raise PinRejected(f"Key store {self._store}: the PIN is {self._rejected}.")
        if answer:
            raise KeyStoreUnavailable(f"The token of key store {self._store} takes no log-in (0x{answer:x}).")

    def _reconnect(self, module: Module, error: PKCS11Error) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
            self._epoch += 1
            renew = not isinstance(error, _SESSION_GONE)
            if renew and time.monotonic() - self._renewed_at < self._renew_every_s:
                raise self._unavailable(error) from error
            if renew:
                self._renewed_at = time.monotonic()
            generation = module.generation
        if renew:
            module.renew(generation)
            return
        with module.used() as now:
            for line in idle:
                if line.generation == now:
                    _hang_up(line)

    def _unavailable(self, error: PKCS11Error) -> RedoubtError:
        return KeyStoreUnavailable(
            f"The token of key store {self._store} does not answer ({type(error).__name__}).",
            retry_after_s=5.0,
        )


def _hang_up(line: Line) -> None:
    # What is lost already needs no closing.
    with contextlib.suppress(PKCS11Error):
        line.session.close()
