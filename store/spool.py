"""The spool: where undo and containment are recorded while the store is away.

An append-only file of JSON lines in a folder of mode 0700, shared by the processes of one host.

- A line is numbered, holds the MAC of the line before it, and is authenticated by HMAC-SHA256 over its canonical
  JSON: a changed, exchanged or removed line is noticed. `head`, authenticated too and replaced after each
  append, says how far the file must go: cutting its end off is noticed as well.
- A line counts once it and its folder are on disk. A line that was torn by a crash was never acknowledged: the
  next append cuts it off.
- Replaying records every line in the store, where a line that is there already has no effect, then moves the
  head's base past them and empties the file. A crash in between replays or skips lines, and loses none.
- A file that does not authenticate is replayed not at all and left as it is, for people to look at.

Who can delete the whole folder can delete what was not yet replayed: the spool can't show that by itself.
"""

import fcntl
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from pydantic import JsonValue, ValidationError

from rules.canonical import encode
from rules.points import reached
from schemas.contract import Contract
from schemas.errors import EvidenceBroken, EvidenceUnavailable, InvalidReference
from schemas.evidence import Entry

MIN_KEY_BYTES = 32
MAX_SPOOL_BYTES = 64 * 1024 * 1024
WAIT_FOR_LOCK_S = 10.0
_LOOK_EVERY_S = 0.01


class Spooled(Contract):
    """One thing that is recorded later: an entry and, if it is an outcome, the step's result."""

    entry: Entry
    result: dict[str, JsonValue] | None = None


class _Line(Contract):
    number: int
    before: str
    record: Spooled
    mac: str = ""


class _Head(Contract):
    number: int = 0
    """Of the last line that was acknowledged."""
    last: str = ""
    """Its MAC."""
    base: int = 0
    """Lines up to this number are in the store."""
    mac: str = ""


class _Kept(Contract):
    name: str
    value: dict[str, JsonValue]
    mac: str = ""


class Recorder(Protocol):
    def record(self, spooled: Spooled) -> None:
        """Put it in the store; again: no effect."""

    @property
    def spool(self) -> "Spool": ...


def replay_spool(journal: Recorder) -> int:
    """Record what is in the spool; how many lines. Again: no effect. Raises `EvidenceBroken`."""
    return journal.spool.drain(journal.record)


def spooled_lines(folder: Path) -> int:
    """How many lines wait, without the key: what `redoubt audit verify` reports."""
    try:
        with (folder / "lines").open("rb") as lines:
            return sum(1 for _ in lines)
    except FileNotFoundError:
        return 0


class Spool:
    def __init__(self, folder: Path, key: bytes, *, lock_s: float = WAIT_FOR_LOCK_S) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise InvalidReference(f"The spool's key has {MIN_KEY_BYTES} bytes or more.")
        self._key: Final = key
        self._lock_s: Final = lock_s
        self._folder: Final = folder
        self._file: Final = folder / "lines"
        self._head_file: Final = folder / "head"
        with _disk_errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    def append(self, spooled: Spooled) -> None:
        """Returns when it is on disk. Raises `EvidenceUnavailable` if it can't be."""
        with self._locked():
            self._cut_torn_line()
            head = self._adopted(self._head())
            line = _Line(number=head.number + 1, before=head.last, record=spooled)
            line = line.model_copy(update={"mac": self._mac(line)})
            self._write(encode(line.model_dump(mode="json")) + b"\n")
            reached("spool.written")
            self._replace_head(_Head(number=line.number, last=line.mac, base=head.base))

    def drain(self, record: Callable[[Spooled], None]) -> int:
        """Hand every line to `record`, oldest first; if all were taken, empty the spool."""
        if not self.waiting():
            return 0
        with self._locked():
            self._cut_torn_line()
            lines = self._verified()
            for line in lines:
                record(line.record)
            reached("spool.replayed")
            if lines:
                self._replace_head(_Head(number=lines[-1].number, last=lines[-1].mac, base=lines[-1].number))
            os.truncate(self._file, 0)
        return len(lines)

    def pending(self) -> Iterator[Spooled]:
        """What waits here and is authentic: enough to go on undoing; `drain` is the one that is strict."""
        with self._locked():
            self._cut_torn_line()
            texts = self._texts()
        for position, text in enumerate(texts, 1):
            try:
                yield self._authentic(text, position).record
            except EvidenceBroken:
                continue

    def keep(self, name: str, value: dict[str, JsonValue]) -> None:
        """Keep a small authenticated document in the folder; `name` is a plain file name."""
        kept = _Kept(name=name, value=value)
        content = encode(kept.model_copy(update={"mac": self._mac(kept)}).model_dump(mode="json"))
        with self._locked():
            (self._folder / "kept").mkdir(mode=0o700, exist_ok=True)
            self._replace(self._folder / "kept" / name, content)

    def kept(self, name: str) -> dict[str, JsonValue] | None:
        """Raises `EvidenceBroken` if the document is not authentic."""
        try:
            with _disk_errors():
                kept = _Kept.model_validate_json((self._folder / "kept" / name).read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise EvidenceBroken("A document of the spool can't be read.") from None
        if kept.name != name or not hmac.compare_digest(kept.mac, self._mac(kept)):
            raise EvidenceBroken("A document of the spool was changed, or is of another key.")
        return kept.value

    def discard(self, name: str) -> None:
        with _disk_errors():
            (self._folder / "kept" / name).unlink(missing_ok=True)

    def waiting(self) -> bool:
        """Whether there may be something: cheap, for every call of the journal."""
        with _disk_errors():
            if self._size():
                return True
            head = self._head()
            return head.number > head.base

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _disk_errors():
            lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                self._wait_for(lock)
                yield
            finally:
                os.close(lock)

    def _wait_for(self, lock: int) -> None:
        """As long as for the store's own locks: a process that was stopped must not stop the others for good."""
        deadline = time.monotonic() + self._lock_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EvidenceUnavailable("The spool is locked by another process.") from None
                time.sleep(_LOOK_EVERY_S)
            else:
                return

    def _verified(self) -> list[_Line]:
        """The lines past the base, each authenticated and following the one before it, none missing at the end."""
        head = self._head()
        lines: list[_Line] = []
        for text in self._texts():
            line = self._authentic(text, len(lines) + 1)
            if lines and (line.number != lines[-1].number + 1 or line.before != lines[-1].mac):
                raise EvidenceBroken(f"The spool's line {len(lines) + 1} does not follow the line before it.")
            lines.append(line)
        self._whole(lines, head)
        return [line for line in lines if line.number > head.base]

    def _whole(self, lines: list[_Line], head: _Head) -> None:
        if (lines[-1].number if lines else head.base) < head.number:
            raise EvidenceBroken("Lines are missing at the end of the spool.")
        if lines and lines[0].number > head.base + 1:
            raise EvidenceBroken("Lines are missing at the beginning of the spool.")
        if any(line.number == head.number and line.mac != head.last for line in lines):
            raise EvidenceBroken("The spool's last line is not the one that was acknowledged.")

    def _texts(self) -> list[bytes]:
        try:
            return self._file.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def _authentic(self, text: bytes, position: int) -> _Line:
        try:
            line = _Line.model_validate_json(text)
        except ValidationError:
            raise EvidenceBroken(f"The spool's line {position} can't be read.") from None
        if not hmac.compare_digest(line.mac, self._mac(line)):
            raise EvidenceBroken(f"The spool's line {position} was changed, or is of another key.")
        return line

    def _mac(self, value: _Line | _Head | _Kept) -> str:
        """Over kind and content, so that a head can't pass for a line."""
        content = encode({"of": type(value).__name__, **value.model_dump(mode="json", exclude={"mac"})})
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()

    def _adopted(self, head: _Head) -> _Head:
        """The head after a crash between a line and its head: the line is whole, so it counts."""
        texts = self._texts()
        if not texts:
            return head
        try:
            last = self._authentic(texts[-1], len(texts))
        except EvidenceBroken:
            return head  # replaying reports it; what is appended follows the last acknowledged line
        if last.number == head.number + 1 and last.before == head.last:
            return head.model_copy(update={"number": last.number, "last": last.mac})
        return head

    def _write(self, line: bytes) -> None:
        if self._size() + len(line) > MAX_SPOOL_BYTES:
            raise EvidenceUnavailable("The spool is full.")
        file = os.open(self._file, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write_all(file, line)
            os.fsync(file)
        finally:
            os.close(file)
        self._sync(self._folder)

    def _cut_torn_line(self) -> None:
        if self._size():
            content = self._file.read_bytes()
            if not content.endswith(b"\n"):
                os.truncate(self._file, content.rfind(b"\n") + 1)

    def _size(self) -> int:
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0

    def _head(self) -> _Head:
        try:
            head = _Head.model_validate_json(self._head_file.read_bytes())
        except FileNotFoundError:
            return _Head()
        except ValidationError:
            raise EvidenceBroken("The spool's head can't be read.") from None
        if not hmac.compare_digest(head.mac, self._mac(head)):
            raise EvidenceBroken("The spool's head was changed, or is of another key.")
        return head

    def _replace_head(self, head: _Head) -> None:
        head = head.model_copy(update={"mac": self._mac(head)})
        self._replace(self._head_file, encode(head.model_dump(mode="json")))

    def _replace(self, file: Path, content: bytes) -> None:
        draft = file.with_name(f"{file.name}.new")
        opened = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(opened, content)
            os.fsync(opened)
        finally:
            os.close(opened)
        draft.replace(file)
        self._sync(file.parent)

    def _sync(self, folder: Path) -> None:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as refused:
        raise EvidenceUnavailable(f"The spool can't be used: {refused.strerror}.") from None


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
