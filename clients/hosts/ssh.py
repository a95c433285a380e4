"""The port `Host` over SSH, by asyncssh: nothing of the user's own SSH configuration, agent or known hosts is read.

Rules and invariants:
- The host key is pinned by the settings; any other is refused before we show who we are.
- We log in by public key alone. The key is resolved anew for each connection and stays in memory.
- One connection a host, shared by all that use it. It is asked for a sign of life every 5 s and ends after three
  unanswered ones, so a half-open line holds nobody. Whatever runs late ends the connection with it.
- What a connection from earlier can't carry any more is sent once again over a new one.
"""

import asyncio
import concurrent.futures
import shlex
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

import asyncssh

from clients.hosts import Answer
from clients.secrets import SecretSource
from schemas.errors import HostKeyRefused, InvalidReference, TargetRefused, TargetUnreachable
from schemas.settings.targets import SshLogin

T = TypeVar("T")

_CONNECT_S: Final = 15.0
_LIFE_SIGN_S: Final = 5.0
_LIFE_SIGNS: Final = 3
_UPLOAD_S: Final = 60.0
_MOST_OUTPUT: Final = 1 << 20
_MOST_WORDS: Final = 4096
_LONGEST_WORDS: Final = 300
_SLICE_S: Final = 0.5
"""A waiting thread looks up this often, so that an activity that is cancelled does not wait to the end."""

_ALGORITHMS: Final = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""How a pinned key may sign, where its type's name does not say it (SHA-1 is not among them)."""


_BROKEN: Final = (
    asyncssh.ConnectionLost,
    asyncssh.ChannelOpenError,
    asyncssh.SFTPConnectionLost,
    ConnectionError,
)


class _Loop:
    """The one event loop, in a thread of its own, for all connections of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        future: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            while not future.done():
                concurrent.futures.wait((future,), _SLICE_S)
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="ssh", daemon=True).start()
            return self._loop


_loop = _Loop()


class SshHost:
    def __init__(
        self,
        login: SshLogin,
        secrets: SecretSource,
        jump: SshLogin | None = None,
        *,
        connect_s: float = _CONNECT_S,
    ) -> None:
        self.name = f"{login.host}:{login.port}"
        self._connecting_s = connect_s * (2 if jump else 1)
        self._login, self._jump, self._secrets = login, jump, secrets
        self._guard = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._tunnel: asyncssh.SSHClientConnection | None = None

    def run(self, argv: Sequence[str], timeout_s: float) -> Answer:
        command = shlex.join(argv)
        return self._done(lambda connection: _answer(self.name, connection, command), timeout_s)

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        self._done(lambda connection: _upload(connection, folder, files), _UPLOAD_S)

    def close(self) -> None:
        _loop.wait(self._drop())

    def _done(
        self, work: Callable[[asyncssh.SSHClientConnection], Coroutine[Any, Any, T]], timeout_s: float
    ) -> T:
        """Every way in which it can fail, as an error of ours that names the host and no more."""
        try:
            return _loop.wait(self._in_time(work, timeout_s))
        except asyncssh.HostKeyNotVerifiable as error:
            raise HostKeyRefused(f"Host {self.name} shows another host key than the settings pin.") from error
        except asyncssh.PermissionDenied as error:
            raise TargetRefused(f"Host {self.name} does not let our user in with our key.") from error
        except (TimeoutError, concurrent.futures.CancelledError) as error:
            raise TargetUnreachable(f"Host {self.name} did not answer in time.") from error
        except asyncssh.SFTPError as error:
            raise TargetUnreachable(
                f"Host {self.name} did not take a file: {_printable(error.reason)}."
            ) from error
        except asyncssh.Error as error:
            raise TargetUnreachable(
                f"Host {self.name}: the connection failed ({type(error).__name__})."
            ) from error
        except OSError as error:
            raise TargetUnreachable(
                f"Host {self.name} can't be reached ({error.strerror or 'no route'})."
            ) from error

    async def _in_time(
        self, work: Callable[[asyncssh.SSHClientConnection], Coroutine[Any, Any, T]], timeout_s: float
    ) -> T:
        """With the time to connect, and even if it is sent once again, it takes no longer than this."""
        async with asyncio.timeout(self._connecting_s + timeout_s):
            return await self._once_or_again(work, timeout_s)

    async def _once_or_again(
        self, work: Callable[[asyncssh.SSHClientConnection], Coroutine[Any, Any, T]], timeout_s: float
    ) -> T:
        connection, reused = await self._connected()
        try:
            async with asyncio.timeout(timeout_s):
                return await work(connection)
        except _BROKEN:
            await self._drop()
            if not reused:
                raise
        except BaseException:
            # Late, cancelled or refused in the middle: what still runs over this line must not be heard any more.
            await self._drop()
            raise
        connection, _ = await self._connected()
        return await work(connection)

    async def _connected(self) -> tuple[asyncssh.SSHClientConnection, bool]:
        async with self._guard:
            if self._connection is not None and not self._connection.is_closed():
                return self._connection, True
            async with asyncio.timeout(self._connecting_s):
                if self._jump is not None:
                    self._tunnel = await self._logged_in(self._jump, None)
                self._connection = await self._logged_in(self._login, self._tunnel)
            return self._connection, False

    async def _logged_in(
        self, login: SshLogin, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        pinned = asyncssh.import_public_key(login.host_key)
        kind = login.host_key.partition(" ")[0]
        return await asyncssh.connect(
            login.host,
            login.port,
            tunnel=tunnel or (),
            config=None,
            username=login.user,
            client_keys=[await asyncio.to_thread(self._key, login)],
            known_hosts=([pinned], [], []),
            server_host_key_algs=_ALGORITHMS.get(kind, (kind,)),
            preferred_auth=("publickey",),
            agent_path=None,
            gss_host=None,
            keepalive_interval=_LIFE_SIGN_S,
            keepalive_count_max=_LIFE_SIGNS,
        )

    def _key(self, login: SshLogin) -> asyncssh.SSHKey:
        try:
            return asyncssh.import_private_key(self._secrets.resolve(login.key))
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise InvalidReference(
                f"Our SSH key for host {self.name} is no private key without a passphrase."
            ) from error

    async def _drop(self) -> None:
        for connection in (self._connection, self._tunnel):
            if connection is not None:
                connection.abort()
                await connection.wait_closed()
        self._connection = self._tunnel = None


async def _answer(host: str, connection: asyncssh.SSHClientConnection, command: str) -> Answer:
    process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(
        command, encoding=None, stdin=asyncssh.DEVNULL
    )
    output, words = await asyncio.gather(_whole(host, process.stdout), _end(process.stderr))
    await process.wait_closed()
    ended = process.returncode
    if ended is None:
        raise asyncssh.ConnectionLost("the program's end was not told")
    code = ended if ended >= 0 else 128 - ended
    return Answer(code=code, output=output, words=_printable(words.decode("utf-8", "replace")))


async def _whole(host: str, stream: asyncssh.SSHReader[bytes]) -> bytes:
    said = bytearray()
    while chunk := await stream.read(65_536):
        said += chunk
        if len(said) > _MOST_OUTPUT:
            raise TargetUnreachable(f"Host {host}: a program says more than {_MOST_OUTPUT} bytes.")
    return bytes(said)


async def _end(stream: asyncssh.SSHReader[bytes]) -> bytes:
    said = b""
    while chunk := await stream.read(65_536):
        said = (said + chunk)[-_MOST_WORDS:]
    return said


async def _upload(connection: asyncssh.SSHClientConnection, folder: str, files: Mapping[str, bytes]) -> None:
    async with connection.start_sftp_client() as sftp:
        await sftp.mkdir(folder, asyncssh.SFTPAttrs(permissions=0o700))
        for name, data in files.items():
            private = asyncssh.SFTPAttrs(permissions=0o600)
            async with sftp.open(f"{folder}/{name}", "xb", private) as file:
                await file.write(data)
                await file.fsync()


def _printable(text: str) -> str:
    """The last two lines, without signs that could paint a terminal."""
    lines = [line.strip()[:_LONGEST_WORDS] for line in text.splitlines() if line.strip()]
    return "".join(sign for sign in " / ".join(lines[-2:]) if sign.isprintable()).rstrip(".")
