"""`certbot renew` of many certificates in one process, as a user's timer calls it.

Only the first one is issued by certbot before the clock starts; the others are laid beside it as certbot lays them,
each with a certificate of its own that nobody trusts. So the clock sees renewals alone, and setting up takes seconds.
"""

import datetime as dt
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from cli.dev.servers import Pebble
from schemas.errors import DependencyUnavailable

Run = Callable[[list[str]], str]
_KINDS: Final = ("cert", "chain", "fullchain", "privkey")


def renewed(ca: Pebble, folder: Path, count: int, run: Run) -> float:
    """How many seconds it took to renew `count` certificates, each once."""
    program = Path(sys.executable).with_name("certbot")
    if shutil.which(program) is None:
        raise DependencyUnavailable("certbot is not installed: it comes with the extra `dev`.")
    where = [word for kind in ("config", "work", "logs") for word in (f"--{kind}-dir", str(folder / kind))]
    common = [str(program), "--non-interactive", "--quiet", *where, "--server", ca.directory]
    words = ["certonly", "--webroot", "--webroot-path", str(ca.webroot), "--agree-tos"]
    run([*common, *words, "--register-unsafely-without-email", "--domain", _name(0)])
    for number in range(1, count):
        _lay(folder / "config", number)
    began = time.perf_counter()
    run([*common, "renew", "--force-renewal", "--no-random-sleep-on-renew"])
    return time.perf_counter() - began


def _name(number: int) -> str:
    return f"b{number}.bench.example.com"


def _lay(config: Path, number: int) -> None:
    """Another lineage, like the first one but for its name."""
    first, name = _name(0), _name(number)
    settings = (config / "renewal" / f"{first}.conf").read_text("utf-8")
    (config / "renewal" / f"{name}.conf").write_text(settings.replace(first, name), "utf-8")
    archive, live = config / "archive" / name, config / "live" / name
    shutil.copytree(config / "archive" / first, archive)
    leaf = _certificate(name, (archive / "privkey1.pem").read_bytes())
    (archive / "cert1.pem").write_bytes(leaf)
    (archive / "fullchain1.pem").write_bytes(leaf + (archive / "chain1.pem").read_bytes())
    live.mkdir()
    for kind in _KINDS:
        (live / f"{kind}.pem").symlink_to(f"../../archive/{name}/{kind}1.pem")


def _certificate(name: str, key_pem: bytes) -> bytes:
    key = load_pem_private_key(key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    nobody, now = x509.Name([]), dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(nobody, nobody, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    named = dated.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return named.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
