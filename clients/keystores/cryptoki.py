"""A PKCS#11 module in this process: initialised for threads, initialised again after a fork or a loss.

- `C_Initialize` is called with CKF_OS_LOCKING_OK. python-pkcs11 passes NULL and yet releases the GIL, and then
  two threads in one module crash it.
- A module is initialised once a process, however many stores use it. Whoever initialises it again waits until
  nobody is inside and then counts `generation` up: every session and handle of an earlier one is void.
- In a forked child the module counts as never initialised (PKCS#11 v2.40, section 2.5.2 of the usage guide).
- Log-in goes past python-pkcs11, which would leave copies of the PIN that nobody can overwrite.
"""

import atexit
import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Protocol

import pkcs11
from pkcs11 import _pkcs11
from pkcs11.exceptions import PKCS11Error

from schemas.errors import KeyStoreUnavailable

_OK = 0x00
_USER_ALREADY_LOGGED_IN = 0x100
_CRYPTOKI_NOT_INITIALIZED = 0x190
_CRYPTOKI_ALREADY_INITIALIZED = 0x191
_USER = 1
_OS_LOCKING_OK = 0x02
_USER_STATES = frozenset({1, 3})  # read-only and read-write user functions
PIN_REJECTED = {
    0xA0: "incorrect",
    0xA1: "invalid",
    0xA2: "of a wrong length",
    0xA3: "expired",
    0xA4: "locked",
}

_Call = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)
_Login = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong)
_SessionInfoCall = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p)


class _InitializeArguments(ctypes.Structure):
    _fields_ = (
        ("create_mutex", ctypes.c_void_p),
        ("destroy_mutex", ctypes.c_void_p),
        ("lock_mutex", ctypes.c_void_p),
        ("unlock_mutex", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


class _SessionInfo(ctypes.Structure):
    _fields_ = (
        ("slot", ctypes.c_ulong),
        ("state", ctypes.c_ulong),
        ("flags", ctypes.c_ulong),
        ("device_error", ctypes.c_ulong),
    )


class _FunctionList(ctypes.Structure):
    """CK_FUNCTION_LIST of PKCS#11 2.40 as far as C_Login: every module has at least these, in this order."""

    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 20))


_INITIALIZE, _FINALIZE, _GET_SESSION_INFO, _LOGIN = 0, 1, 15, 18


class _Functions:
    """The few functions that are called past python-pkcs11, at the same addresses."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        found = ctypes.POINTER(_FunctionList)()
        if library.C_GetFunctionList(ctypes.byref(found)) != _OK:
            raise KeyStoreUnavailable(f"{path.name} gives no PKCS#11 functions.")
        functions = found.contents.functions
        self._initialize = _Call(functions[_INITIALIZE])
        self._finalize = _Call(functions[_FINALIZE])
        self._session_info = _SessionInfoCall(functions[_GET_SESSION_INFO])
        self._login = _Login(functions[_LOGIN])

    def initialize(self) -> None:
        arguments = _InitializeArguments(flags=_OS_LOCKING_OK)
        answer = self._initialize(ctypes.addressof(arguments))
        if answer not in {_OK, _CRYPTOKI_ALREADY_INITIALIZED}:
            raise KeyStoreUnavailable(f"The PKCS#11 module does not initialise (0x{answer:x}).")

    def finalize(self) -> None:
        answer = self._finalize(None)
        if answer not in {_OK, _CRYPTOKI_NOT_INITIALIZED}:
            raise KeyStoreUnavailable(f"The PKCS#11 module does not finalise (0x{answer:x}).")

    def login(self, session: int, pin: bytearray) -> int:
        held = (ctypes.c_ubyte * len(pin)).from_buffer(pin)
        return int(self._login(session, _USER, ctypes.addressof(held), len(pin)))

    def logged_in(self, session: int) -> bool:
        info = _SessionInfo()
        return self._session_info(session, ctypes.addressof(info)) == _OK and info.state in _USER_STATES


class _Library(_pkcs11.lib):
    """python-pkcs11's library, initialised by us."""

    def initialize(self) -> None:
        """Nothing: `Module` has done it, with locking."""


class _SharedLock:
    """Many inside, or one alone; who wants to be alone goes before those who come later."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._alone = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


class _Forked(Protocol):
    def forked(self) -> None:
        """Forget what belongs to the parent process."""


_told_of_forks: "weakref.WeakSet[_Forked]" = weakref.WeakSet()


def tell_of_forks(what: _Forked) -> None:
    _told_of_forks.add(what)


def _in_child() -> None:
    Module.lock = threading.Lock()
    for what in list(_told_of_forks):
        what.forked()


os.register_at_fork(after_in_child=_in_child)


class Module:
    loaded: ClassVar[dict[Path, "Module"]] = {}
    lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 1
        self._stale = False
        self._use = _SharedLock()
        self._functions = _Functions(path)
        self._functions.initialize()
        self._library = _Library(str(path))
        tell_of_forks(self)

    @classmethod
    def of(cls, path: Path) -> "Module":
        """The module of this process. Raises `KeyStoreUnavailable`."""
        with cls.lock:
            if path not in cls.loaded:
                try:
                    cls.loaded[path] = cls(path)
                except (OSError, AttributeError, PKCS11Error) as error:
                    raise KeyStoreUnavailable(f"{path.name} can't be loaded as a PKCS#11 module.") from error
            return cls.loaded[path]

    @contextlib.contextmanager
    def used(self) -> Iterator[int]:
        """Within, nobody initialises the module again; gives the generation. Not to be nested."""
        if self._stale:
            self.renew(self.generation)
        with self._use.shared():
            yield self.generation

    def renew(self, generation: int) -> None:
        """Initialise it again, unless somebody has done so since `generation`."""
        with self._use.alone():
            if generation == self.generation:
                self._functions.finalize()
                self._functions.initialize()
                self.generation += 1
                self._stale = False

    def token(self, label: str) -> pkcs11.Token:
        return self._library.get_token(token_label=label)

    def login(self, session: pkcs11.Session, pin: bytearray) -> int:
        """The module's answer, of which "already logged in" counts as success."""
        answer = self._functions.login(_handle(session), pin)
        return _OK if answer == _USER_ALREADY_LOGGED_IN else answer

    def logged_in(self, session: pkcs11.Session) -> bool:
        return self._functions.logged_in(_handle(session))

    def forked(self) -> None:
        self._use = _SharedLock()
        self._stale = True


def _handle(session: pkcs11.Session) -> int:
    return int(session.handle)  # type: ignore[attr-defined]  # the Cython class has it, its stub does not


# Later in the interpreter's end the library's own clean-up would fail, and say so on stderr.
atexit.register(Module.loaded.clear)
