"""The embedded stack: started in order, supervised, stopped in the opposite order; its state is one folder.

- One stack a folder: a second one is refused while the first lives.
- A child that ends by itself is started again, and that is said; one that ends at once, three times in a row,
  ends the stack with its last words.
- Killed with SIGKILL, the stack takes its children with it (`cli.dev.process`); started again on the same
  folder it goes on: Temporal's file, the records, the tokens and the certificates are all there. Pebble alone
  keeps its state in memory, so a restart is a new CA, whose roots are fetched anew.
"""

import fcntl
import secrets
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from cli.dev import governed, layout
from cli.dev.nginx import Nginx
from cli.dev.ports import Ports
from cli.dev.process import Child, listening
from cli.dev.servers import (
    Pebble,
    PebblePorts,
    Token,
    pebble,
    softhsm,
    start_temporal,
    temporal,
)
from clients.secrets.files import store_file
from schemas.errors import AlreadyRunning, DependencyUnavailable

HSM_TOOLS = ("softhsm2", "pkcs11-engine")
WEB_TOOLS = ("nginx",)
ACME_TOOLS = ("pebble", "nginx")
"""A web server shows the CA the proof."""
QUICK_END_S = 5.0
QUICK_ENDS = 3


@dataclass
class Part:
    """One supervised process, and how it is brought up."""

    name: str
    begin: Callable[[], Child]
    """Starts it and waits until it is ready."""
    child: Child | None = None
    started_at: float = 0.0
    quick_ends: int = 0

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.running

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.child = self.begin()

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def start_again(self) -> str:
        """Start it once more; returns what is to be said. Raises when it keeps ending."""
        ended = self.child
        lived = time.monotonic() - self.started_at
        self.quick_ends = self.quick_ends + 1 if lived < QUICK_END_S else 0
        if self.quick_ends >= QUICK_ENDS:
            raise DependencyUnavailable(f"{self.name} keeps ending: {ended.last_words() if ended else ''}.")
        end = f"{self.name} {ended.end if ended else 'is not there'}"
        try:
            self.start()
        except DependencyUnavailable as failed:
            # What it needs may be down, too: the next round tries again.
            self.started_at = time.monotonic()
            return f"{end}; starting it again failed: {failed.in_full}"
        return f"{end}; it was started again"


class Stack:
    def __init__(
        self,
        folder: Path,
        offset: int = 0,
        sweep_every_s: int = 3600,
        *,
        without: Collection[str] = (),
    ) -> None:
        """`without`: tools that can't be had.

        Without an HSM each web server makes a key of its own, without Pebble the local CA issues for them.
        """
        self.folder = folder.absolute()
        self.with_web, self.with_acme, self.with_hsm = (
            all(tool not in without for tool in tools)
            for tools in (WEB_TOOLS, ACME_TOOLS, (*HSM_TOOLS, *WEB_TOOLS))
        )
        self._sweep_every_s = sweep_every_s
        self.ports = Ports().moved(offset)
        self.parts: list[Part] = []
        self._lock: IO[str] | None = None
        self._say: Callable[[str], None] = _silent
        self.ca: Pebble
        """With ACME only."""
        self.token: Token | None = None
        self.sites: dict[str, Nginx] = {}

    # --- its life -------------------------------------------------------------------------------------

    def start(self, say: Callable[[str], None], *, schedules: bool = True) -> None:
        """Everything up and ready; raises `DependencyUnavailable` and leaves nothing running if it can't."""
        self._say = say
        self._claim()
        try:
            self.ports.refuse_if_taken()
            self._prepare(say)
            self._start_servers(say)
            self._start_ours(say)
            if schedules:
                self.apply_schedules()
        except BaseException:
            self.stop(say)
            raise

    def stop(self, say: Callable[[str], None]) -> None:
        for part in reversed(self.parts):
            part.stop()
            say(f"stopped {part.name}")
        self.parts.clear()
        if self._lock:
            self._lock.close()
            self._lock = None

    def supervise(self, say: Callable[[str], None]) -> None:
        """Start again what has ended by itself; call it now and then."""
        for part in self.parts:
            if not part.running:
                say(part.start_again())

    def links(self) -> dict[str, str]:
        web = {"https://www.example.com (one of three)": f"https://127.0.0.1:{self.ports.web_1}"}
        return {
            "Temporal Web UI": f"http://127.0.0.1:{self.ports.web_ui}",
            **(web if self.with_web else {}),
            **({"ACME directory (Pebble)": self.ca.directory} if self.with_acme else {}),
            "health of the workers": f"http://127.0.0.1:{self.ports.certificates_health}/readyz",
            "metrics (Prometheus)": f"http://127.0.0.1:{self.ports.certificates_metrics}/metrics",
            "settings": str(self.folder / layout.SETTINGS),
        }

    @property
    def environment(self) -> dict[str, str]:
        return layout.environment(self.folder)

    @property
    def roots(self) -> Path:
        """Of the CA that is asked first."""
        return self.ca.trust_file if self.with_acme else self.local_root

    @property
    def local_root(self) -> Path:
        return self.folder / layout.LOCAL_CA / "root.pem"

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    # --- its parts ------------------------------------------------------------------------------------

    def _claim(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (self.folder / "lock").open("w", encoding="ascii")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"Another stack runs in {self.folder}; choose another folder with --dir."
            ) from None
        # Secrets and histories lie here: whatever checkout it stands in, git does not see it.
        (self.folder / ".gitignore").write_text("*\n", encoding="ascii")

    def _prepare(self, say: Callable[[str], None]) -> None:
        say("making the secrets and the settings")
        self._redoubt_once("init", "--dir", str(self.folder))
        if self.with_acme:
            self.ca = self._pebble()
            self.ca.trust_file.touch()
        self.token = self._hsm() if self.with_hsm else None
        self.sites = self._sites() if self.with_web else {}
        self._write_settings()
        (self.folder / layout.ENVIRONMENT).write_text(layout.exports(self.folder), encoding="utf-8")
        self._redoubt_once("store", "migrate")

    def _write_settings(self) -> None:
        found = layout.Found(
            module=self.token.module if self.token else None,
            sites=self.sites,
            ca=self.ca if self.with_acme else None,
            sweep_every_s=self._sweep_every_s,
        )
        text = layout.settings(self.folder, self.ports, found)
        (self.folder / layout.SETTINGS).write_text(text, encoding="utf-8")

    def _hsm(self) -> Token:
        pin = self.folder / layout.PIN
        if not pin.exists():
            pin.parent.mkdir(mode=0o700, exist_ok=True)
            # 168 bits: OpenSSL's engine, by which the web servers log in, takes at most 31 characters and no newline.
            store_file(pin, secrets.token_urlsafe(21).encode("ascii"))
        return softhsm(self.folder / "hsm", layout.TOKEN, pin, so_pin=secrets.token_hex(16))

    def _pebble(self) -> Pebble:
        ports = PebblePorts(
            http_01=self.ports.http_01,
            directory=self.ports.acme,
            management=self.ports.acme_management,
            names=self.ports.acme_names,
            names_management=self.ports.acme_names_management,
        )
        return pebble(self.folder / "ca-acme", ports, env={"PEBBLE_WFE_NONCEREJECT": "5"})

    def _sites(self) -> dict[str, Nginx]:
        """Three web servers that share a key in the token, and one whose key is a file; the first shows challenges."""
        ports = (self.ports.web_1, self.ports.web_2, self.ports.web_3, self.ports.shop)
        sites = {}
        for name, port in zip((*layout.WEB, layout.SHOP), ports, strict=True):
            home = self.folder / "sites" / name
            site = Nginx(home, port, home / "tls", token=self.token if name in layout.WEB else None)
            if name == layout.WEB[0] and self.with_acme:
                site.http_port, site.webroot = self.ports.http_01, self.ca.webroot
            sites[name] = site
        return sites

    def _start_servers(self, say: Callable[[str], None]) -> None:
        say("starting Temporal with its Web UI, and what a renewal needs")
        secret_path = (self.folder / "secrets" / "codec-server-path").read_text("ascii").strip()
        endpoint = f"http://127.0.0.1:{self.ports.codec_server}/{secret_path}"
        folder = self.folder / "temporal"
        folder.mkdir(exist_ok=True)
        server = temporal(folder, self.ports.temporal, self.ports.web_ui, codec_endpoint=endpoint)
        self._begin("temporal", lambda: start_temporal(server))
        if self.with_acme:
            self._begin("pebble-names", self.ca.start_names)
            self._begin("pebble", self.ca.start_ca)
        for name, site in self.sites.items():
            self._begin(f"nginx {name}", partial(_begin_site, site))

    def _start_ours(self, say: Callable[[str], None]) -> None:
        say("starting the workers and the codec server")
        self._ours("codec-server", self.ports.codec_server, "codec-server", "run")
        if governed.is_governed(self.folder):
            self._api()
        self._ours("worker certificates", self.ports.certificates_health, "workers", "run", "certificates")
        self._ours("worker audit", self.ports.audit_health, "workers", "run", "audit")

    def govern(self) -> None:
        """Install the policy, and start the API; from now on nobody starts anything who has not signed for it."""
        file = governed.write_policy(self.folder)
        self._write_settings()
        self._redoubt_once("policy", "apply", str(file))
        # Before the workers know of its certificate: the first one is verified by this listener.
        self._api()
        for name in ("codec-server", "worker certificates"):
            part = self.part(name)
            part.stop()
            part.start()

    def _api(self) -> None:
        self._ours("api", self.ports.api, "api", "run")

    def apply_schedules(self) -> None:
        self._redoubt_once("schedules", "apply")

    def _ours(self, name: str, port: int, *words: str) -> None:
        def begin() -> Child:
            child = self.redoubt(name, *words)
            child.start()
            child.wait_until(lambda: listening(port), 60, "ready")
            return child

        self._begin(name, begin)

    def _begin(self, name: str, begin: Callable[[], Child]) -> None:
        part = Part(name, begin)
        self.parts.append(part)
        part.start()
        self._say(f"  {name} is up ({time.monotonic() - part.started_at:.1f} s)")

    def redoubt(self, name: str, *words: str, env: dict[str, str] | None = None) -> Child:
        """A `redoubt` command on this stack's settings, as a child."""
        argv = [sys.executable, "-m", "cli.main", *words]
        return Child(
            name,
            argv,
            self.folder / "logs" / f"{name.replace(' ', '-')}.log",
            {**self.environment, **(env or {})},
        )

    def _redoubt_once(self, *words: str) -> None:
        child = self.redoubt(f"redoubt {words[0]}", *words)
        child.start()
        if child.wait(60):
            raise DependencyUnavailable(f"`redoubt {' '.join(words)}` failed: {child.last_words()}.")


def _silent(_words: str) -> None:
    """Say nothing, until somebody listens."""


def _begin_site(site: Nginx) -> Child:
    return site.start().child
