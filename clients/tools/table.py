"""The table of outside programs: what each row says. The rows are data, in deploy/tools/table.toml.

A tool is one or more files (programs or libraries) that come together and have one version. The rows stand in
the order in which the demo needs them, and the ways of a row in the order in which they are tried. Looking
whether the tool is there already comes before all of them.
"""

import functools
import pathlib
import tomllib
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from schemas.contract import Contract

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "tools"
"""The table and the small modules that the Go and Maven ways build from."""


class Purpose(StrEnum):
    DEMO = "demo"
    TEST = "test"
    DEV = "dev"
    PAYMENTS = "payments"


Relative = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]*$")]


class File(Contract):
    """A file of a tool: a program, looked for on PATH, or a library, looked for in `places` alone."""

    name: str
    """What `find` is asked for, and the file's name in our cache."""
    names: tuple[str, ...] = ()
    """Other names that systems give it; the first that is found counts."""
    places: tuple[str, ...] = ()
    """Folders (patterns) that are searched too, the highest version first."""

    @property
    def library(self) -> bool:
        return ".so" in self.name


class Ask(Contract):
    """How the tool's first file tells its version: arguments, and a pattern with one group over its output."""

    argv: tuple[str, ...]
    pattern: str


class AptWay(Contract):
    way: Literal["apt"]
    packages: tuple[str, ...]


class Archive(Contract):
    url: Annotated[str, Field(pattern=r"^https://")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """As the vendor published it."""


class DownloadWay(Contract):
    """The vendor's own download."""

    way: Literal["download"]
    archives: dict[str, Archive]
    """`linux-x86_64`, `linux-aarch64`, `darwin-arm64`, … to what is downloaded there."""
    members: dict[str, str] = Field(default_factory=dict)
    """File of the tool to its path in the archive; empty: the download is the one file itself."""
    max_mib: int = 300


class NpmWay(Contract):
    way: Literal["npm"]
    system: str
    """As in a download's `archives`: the package holds a program for this kind of machine alone."""
    package: str
    """With its exact version."""
    integrity: Annotated[str, Field(pattern=r"^sha512-[A-Za-z0-9+/]{86}==$")]
    members: dict[str, str]
    max_mib: int = 300


class GoWay(Contract):
    way: Literal["go"]
    module: Relative
    """Folder beside the table with go.mod and go.sum: every version and every sum is pinned there."""
    packages: tuple[str, ...]
    tags: tuple[str, ...] = ()
    set: dict[str, str] = Field(default_factory=dict)
    """Variables that the linker sets (-X), so that the program tells its version."""


class MavenWay(Contract):
    way: Literal["maven"]
    module: Relative
    """Folder beside the table with pom.xml and the SHA-256 of every jar."""
    main: str


AnyWay = Annotated[AptWay | DownloadWay | NpmWay | GoWay | MavenWay, Field(discriminator="way")]


class Tool(Contract):
    name: Relative
    version: str
    """The version that we get; empty where the system's package is as good as any."""
    minimum: str = ""
    files: Annotated[tuple[File, ...], Field(min_length=1)]
    ask: Ask | None = None
    without: str
    """What won't work without it, for people."""
    chapter: str
    """The demo's chapter that needs it first."""
    needed_by: tuple[Purpose, ...]
    ways: tuple[AnyWay, ...]

    def file(self, name: str) -> File | None:
        """The file that goes by this name; the tool's own name stands for its first file."""
        if name == self.name:
            return self.files[0]
        return next((file for file in self.files if file.name == name), None)


class _Table(Contract):
    tools: tuple[Tool, ...]


@functools.cache
def tools() -> tuple[Tool, ...]:
    """Every tool, in the order in which the demo needs them."""
    with (RECIPES / "table.toml").open("rb") as file:
        return _Table.model_validate(tomllib.load(file)).tools
