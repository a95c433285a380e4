"""A private nginx on loopback for the embedded stack, the demo and the tests: all that it writes is in one folder.

Rules:
- It reads the target's `current/nginx.conf` by a wildcard: no match is no error, and the `http` block rejects
  handshakes until a version's file turns that off. So it runs before the first certificate and without one.
- A key in SoftHSM is used through OpenSSL's engine `pkcs11`. Each setting of that recipe, and what happens
  without it, is explained in docs/targets.md.
- With a token it logs in when it starts, by loading the token's first key, and not at its first reload: there a
  token file that another process is writing at that moment would keep it from every key for as long as it runs.
- The reload only sends a signal: it reads no configuration, so it does not log in to a token whose file another
  process may be reading at that moment.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cli.dev.process import Child, listening
from cli.dev.servers import Token
from clients.targets.nginx import REJECT_WITHOUT, engine_key
from schemas.errors import DependencyUnavailable

_SBIN = "/usr/sbin:/sbin"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass
class Nginx:
    """`target` is the folder of a `FilesTarget`, made if it is missing."""

    folder: Path
    port: int
    target: Path
    http_port: int | None = None
    webroot: Path | None = None
    token: Token | None = None
    _child: Child | None = field(default=None, init=False)

    def start(self) -> Self:
        """Start it and wait until it listens."""
        self.target.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.token:
            self._write_engine(self.token)
        self._write("nginx.conf", self._configuration())
        self._write(
            "signal.conf", f"pid {self.folder}/nginx.pid;\nerror_log {self.folder}/signal.log;\nevents {{}}\n"
        )
        child = Child("nginx", self._command("nginx.conf"), self.folder / "nginx.log", self._environment)
        self._child = child
        child.start()
        child.wait_until(lambda: listening(self.port), 20.0, "listening")
        return self

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    @property
    def child(self) -> Child:
        if self._child is None:
            raise RuntimeError("nginx has not been started")
        return self._child

    @property
    def reload(self) -> tuple[str, ...]:
        """For `reload` of the target's settings."""
        return (*self._command("signal.conf"), "-s", "reload")

    @property
    def check(self) -> tuple[str, ...]:
        """For `check` of the target's settings, where keys are files: with a token, leave it out."""
        return (*self._command("nginx.conf"), "-t", "-q")

    @property
    def _environment(self) -> dict[str, str]:
        if self.token is None:
            return {}
        return {**self.token.env, "OPENSSL_CONF": str(self.folder / "openssl.cnf")}

    def _command(self, configuration: str) -> tuple[str, ...]:
        program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
        if program is None:
            raise DependencyUnavailable("nginx is not installed.")
        return (program, "-p", str(self.folder), "-c", str(self.folder / configuration))

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="ascii")

    def _configuration(self) -> str:
        # Workers read the token's files and the keys, which are root's where we are root.
        user = "user root;" if os.geteuid() == 0 else ""
        passed = "".join(f"env {name};\n" for name in self._environment)
        temporary = "".join(f"    {kind}_temp_path {self.folder}/{kind};\n" for kind in _TEMPORARY)
        return f"""{user}
{passed}daemon off;
pid {self.folder}/nginx.pid;
error_log {self.folder}/nginx.log notice;
worker_processes 2;
events {{ worker_connections 512; }}
http {{
    access_log off;
    server_tokens off;
{temporary}    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519:prime256v1:secp384r1;
    {REJECT_WITHOUT}
{self._first_key()}    server {{
        listen 127.0.0.1:{self.port} ssl;
        include {self.target}/current/nginx*.conf;
        location / {{ default_type text/plain; return 200 "ok\\n"; }}
    }}
{self._challenge()}}}
"""

    def _first_key(self) -> str:
        """Inherited by the server until a version's file names another one; every handshake is refused until then."""
        if self.token is None:
            return ""
        key = engine_key(self.token.first_key, str(self.token.pin_file))
        return f"""    ssl_certificate "{self.token.first_certificate}";
    ssl_certificate_key "{key}";
"""

    def _challenge(self) -> str:
        if self.http_port is None or self.webroot is None:
            return ""
        return f"""    server {{
        listen 127.0.0.1:{self.http_port};
        location /.well-known/acme-challenge/ {{ root {self.webroot}; default_type text/plain; }}
        location / {{ return 404; }}
    }}
"""

    def _write_engine(self, token: Token) -> None:
        """OpenSSL's configuration for this nginx; SoftHSM's own is the token's."""
        self._write(
            "openssl.cnf",
            "openssl_conf = main\n[main]\nengines = engines\n[engines]\npkcs11 = pkcs11\n"
            f"[pkcs11]\nengine_id = pkcs11\nMODULE_PATH = {token.module}\ninit = 1\n",
        )
