"""What leaves an archive: the files that were asked for, and nothing that could do harm."""

import io
import pathlib
import tarfile
import zipfile

import pytest

from clients.tools import archive
from clients.tools.way import Unobtainable


def _tar(path: pathlib.Path, *entries: tuple[tarfile.TarInfo, bytes]) -> pathlib.Path:
    with tarfile.open(path, "w:gz") as packed:
        for entry, content in entries:
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture(params=["tar", "zip"])
def packed(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "archive"
    if request.param == "tar":
        return _tar(path, (tarfile.TarInfo("in/program"), b"content"), (tarfile.TarInfo("../evil"), b"evil"))
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("in/program", b"content")
        made.writestr("../evil", b"evil")
    return path


def test_only_what_is_asked_for_under_our_name(packed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    archive.take(packed, {"program": "in/program"}, tmp_path / "out" / "bin", 100)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["archive", "bin", "out", "program"]
    assert (tmp_path / "out" / "bin" / "program").read_bytes() == b"content"


def test_more_than_is_allowed(packed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unobtainable, match="more than the 6 allowed"):
        archive.take(packed, {"program": "in/program"}, tmp_path / "out", 6)
    assert not (tmp_path / "out" / "program").exists()


def test_a_file_that_is_not_in_it(packed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unobtainable, match="can't be read"):
        archive.take(packed, {"program": "in/nonesuch"}, tmp_path / "out", 100)


def test_a_link_is_no_file(tmp_path: pathlib.Path) -> None:
    link = tarfile.TarInfo("program")
    link.type = tarfile.SYMTYPE
    link.linkname = "/etc/passwd"
    with pytest.raises(Unobtainable, match="is no file"):
        archive.take(_tar(tmp_path / "archive", (link, b"")), {"program": "program"}, tmp_path / "out", 100)


def test_no_archive_at_all(tmp_path: pathlib.Path) -> None:
    (tmp_path / "archive").write_bytes(b"<html>sorry</html>")
    with pytest.raises(Unobtainable, match="can't be read"):
        archive.take(tmp_path / "archive", {"program": "program"}, tmp_path / "out", 100)
