"""Each way with a program that pretends to be apt-get, npm, Go or Maven: what it is asked for, what is refused."""

import base64
import hashlib
import os
import pathlib
import shlex
import tarfile

import pytest

from clients.tools.apt import Apt
from clients.tools.go import Go
from clients.tools.maven import Maven
from clients.tools.npm import Npm
from clients.tools.process import run
from clients.tools.table import AptWay, GoWay, MavenWay, NpmWay
from clients.tools.way import Unobtainable
from tests.unit.tools.made_up import Pretend, tool

_APT = AptWay(way="apt", packages=("made-up",))
_MAVEN = MavenWay(way="maven", module="made-up", main="invalid.example.Main")


class Quiet:
    def __call__(self, what: str) -> None:
        assert what


@pytest.fixture
def said(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where pretending programs write down how they were called."""
    return tmp_path / "said"


@pytest.fixture
def policy(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "policy-rc.d"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, pretend: Pretend) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    pretend("install", 'exec /bin/cp "$3" "$4"')
    pretend("rm", 'exec /bin/rm "$@"')


def _noting(said: pathlib.Path, more: str = "") -> str:
    return f'printf "%s\\n" "$*" >> {shlex.quote(str(said))}\n{more}'


@pytest.mark.usefixtures("cache", "root")
def test_apt_installs_without_asking(said: pathlib.Path, policy: pathlib.Path, pretend: Pretend) -> None:
    policy_now = f"/bin/cat {policy} >> {said}; echo $DEBIAN_FRONTEND >> {said}"
    pretend("apt-get", _noting(said, policy_now))
    Apt(policy).get(_APT, tool(), policy, Quiet())
    first, *rest = said.read_text().splitlines()
    assert first == "-q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends made-up"
    assert rest[-1] == "noninteractive"
    assert f"[ -d /proc/{os.getpid()} ] && exit 101" in rest
    assert not policy.exists()


@pytest.mark.usefixtures("cache", "root")
def test_apt_reads_the_lists_anew_once_if_a_package_is_unknown(
    said: pathlib.Path, policy: pathlib.Path, pretend: Pretend
) -> None:
    pretend("apt-get", _noting(said, 'case "$*" in *install*) echo E: no such package; exit 100;; esac'))
    with pytest.raises(Unobtainable, match="no such package"):
        Apt(policy).get(_APT, tool(), policy, Quiet())
    assert [line.split()[1] for line in said.read_text().splitlines()] == ["-y", "update", "-y"]
    assert not policy.exists()


@pytest.mark.usefixtures("cache", "root")
def test_apt_leaves_the_systems_own_policy_alone(
    said: pathlib.Path, policy: pathlib.Path, pretend: Pretend
) -> None:
    policy.write_text("#!/bin/sh\nexit 101\n")
    pretend("apt-get", _noting(said))
    Apt(policy).get(_APT, tool(), policy, Quiet())
    assert policy.read_text() == "#!/bin/sh\nexit 101\n"


@pytest.mark.usefixtures("cache")
def test_apt_without_root_says_what_to_run(
    said: pathlib.Path, policy: pathlib.Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    pretend("apt-get", _noting(said))
    pretend("sudo", "echo a password is required; exit 1")
    with pytest.raises(Unobtainable, match="run `sudo apt-get install --no-install-recommends made-up`"):
        Apt(policy).get(_APT, tool(), policy, Quiet())
    assert not said.exists()


@pytest.mark.usefixtures("cache")
def test_apt_by_sudo_that_does_not_ask(
    said: pathlib.Path, policy: pathlib.Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    policy.touch()
    pretend("sudo", _noting(said))
    pretend("apt-get", "")
    Apt(policy).get(_APT, tool(), policy, Quiet())
    asked, installed = said.read_text().splitlines()
    assert asked == "-n true"
    assert installed.startswith("-n timeout -k 10 1800 env DEBIAN_FRONTEND=noninteractive")
    assert installed.endswith("install --no-install-recommends made-up")


@pytest.mark.usefixtures("programs")
def test_a_system_without_the_program_that_a_way_needs(tmp_path: pathlib.Path) -> None:
    go = GoWay(way="go", module="made-up", packages=("example.invalid/made-up",))
    with pytest.raises(Unobtainable, match="no apt-get"):
        Apt().get(_APT, tool(), tmp_path, Quiet())
    with pytest.raises(Unobtainable, match="Go is not installed"):
        Go(tmp_path).get(go, tool(), tmp_path, Quiet())
    with pytest.raises(Unobtainable, match="Java and Maven"):
        Maven(tmp_path).get(_MAVEN, tool(), tmp_path, Quiet())
    with pytest.raises(Unobtainable, match="npm is not installed"):
        Npm().get(_npm("sha512-" + "A" * 86 + "=="), tool(), tmp_path, Quiet())


def test_go_builds_the_pinned_module(
    tmp_path: pathlib.Path, said: pathlib.Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-x-of-the-user")
    pretend(
        "go", _noting(said, f"echo $GOFLAGS $GOWORK $PWD >> {said}; echo go: downloading example.invalid v1")
    )
    (tmp_path / "made-up").mkdir()
    recipe = GoWay(
        way="go",
        module="made-up",
        packages=("example.invalid/made-up",),
        tags=("small",),
        set={"main.version": "2.0"},
    )
    heard: list[str] = []
    Go(tmp_path).get(recipe, tool(), tmp_path / "into", heard.append)
    called, environment = said.read_text().splitlines()
    assert called == (
        "build -v -mod=readonly -buildvcs=false -trimpath -ldflags -s -w -X main.version=2.0 -tags small "
        f"-o {tmp_path}/into/bin/ example.invalid/made-up"
    )
    assert environment == f"-x-of-the-user off {tmp_path}/made-up"
    assert heard == ["building made-up 2.0 with Go", "downloading example.invalid v1"]


def test_go_that_fails_says_its_last_words(tmp_path: pathlib.Path, pretend: Pretend) -> None:
    pretend("go", "echo one; echo two; echo three; echo missing go.sum entry; exit 1")
    (tmp_path / "made-up").mkdir()
    recipe = GoWay(way="go", module="made-up", packages=("example.invalid/made-up",))
    with pytest.raises(Unobtainable, match=r"go` failed: two / three / missing go\.sum entry"):
        Go(tmp_path).get(recipe, tool(), tmp_path / "into", Quiet())


@pytest.fixture
def maven(tmp_path: pathlib.Path, pretend: Pretend) -> Maven:
    """A Maven that brings one jar, and the sum of that jar beside the pom."""
    pretend("java", "")
    pretend("mvn", 'for last; do :; done; to=${last#*=}; /bin/mkdir -p "$to"; printf jar > "$to/a.jar"')
    (tmp_path / "made-up").mkdir()
    _pin(tmp_path, "a.jar", b"jar")
    return Maven(tmp_path)


def _pin(tmp_path: pathlib.Path, name: str, content: bytes) -> None:
    line = f"{hashlib.sha256(content).hexdigest()}  {name}\n"
    (tmp_path / "made-up" / "jars.sha256").write_text(line)


def test_maven_brings_the_pinned_jars_and_a_script_that_becomes_java(
    tmp_path: pathlib.Path, maven: Maven
) -> None:
    into = tmp_path / "into"
    maven.get(_MAVEN, tool(), into, Quiet())
    assert (into / "lib" / "a.jar").read_bytes() == b"jar"
    last = (into / "bin" / "made-up").read_text().splitlines()[-1]
    assert last.startswith("exec java ")
    assert "invalid.example.Main" in last


@pytest.mark.parametrize(
    ("name", "content"), [("a.jar", b"other"), ("b.jar", b"jar")], ids=["changed", "another"]
)
def test_maven_refuses_jars_that_are_not_as_pinned(
    tmp_path: pathlib.Path, maven: Maven, name: str, content: bytes
) -> None:
    _pin(tmp_path, name, content)
    with pytest.raises(Unobtainable, match=r"not as pinned, so refused: a\.jar"):
        maven.get(_MAVEN, tool(), tmp_path / "into", Quiet())


@pytest.fixture
def package(tmp_path: pathlib.Path, pretend: Pretend) -> str:
    """An npm that fetches a package with one program; its integrity."""
    (tmp_path / "program").write_text("the program")
    packed = tmp_path / "made-up-2.0.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(tmp_path / "program", "package/bin/program")
    pretend("npm", f'[ "$2" = "@example/made-up@2.0" ] && /bin/cp {packed} "$4"')
    return "sha512-" + base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()


def _npm(integrity: str, system: str = "") -> NpmWay:
    from clients.tools.download import system as here  # noqa: PLC0415 - the parameter has its name

    members = {"made-up": "package/bin/program"}
    return NpmWay(
        way="npm",
        system=system or here(),
        package="@example/made-up@2.0",
        integrity=integrity,
        members=members,
    )


def test_npm_gives_the_program_and_nothing_else(tmp_path: pathlib.Path, package: str) -> None:
    Npm().get(_npm(package), tool(), tmp_path / "into", Quiet())
    assert (tmp_path / "into" / "bin" / "made-up").read_text() == "the program"


def test_npm_refuses_what_is_not_as_pinned(tmp_path: pathlib.Path, package: str) -> None:
    other = package[:-4] + ("A" if package[-4] != "A" else "Q") + package[-3:]
    with pytest.raises(Unobtainable, match="not the pinned one: refused"):
        Npm().get(_npm(other), tool(), tmp_path / "into", Quiet())
    assert not (tmp_path / "into").exists()


def test_npm_for_another_kind_of_machine(tmp_path: pathlib.Path, package: str) -> None:
    with pytest.raises(Unobtainable, match="is for plan9-vax"):
        Npm().get(_npm(package, "plan9-vax"), tool(), tmp_path / "into", Quiet())


def test_a_program_that_takes_too_long_is_stopped(pretend: Pretend) -> None:
    program = pretend("slow", "echo begun; exec /bin/sleep 60")
    with pytest.raises(Unobtainable, match="stopped after"):
        run([str(program)], timeout_s=0.2)


@pytest.mark.usefixtures("programs")
def test_a_program_that_is_not_there() -> None:
    with pytest.raises(Unobtainable, match="can't be run"):
        run(["nonesuch"], timeout_s=5)
