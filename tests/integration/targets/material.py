"""Certificates of a throw-away CA, targets in a folder, and a reload program whose service we can look into."""

import datetime as dt
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from clients.targets import Bundle, Fence, Target
from clients.targets.files import FilesTarget
from schemas.settings import targets

NAME = "www.example.test"
Days = tuple[float, float]
"""From when until when, counted from now."""
TODAY: Days = (-1 / 24, 1)

RELOAD = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
if (folder / "hang").exists():
    (folder / "hanging").write_text(str(os.getpid()))
    time.sleep(600)
link = folder / "target" / "current"
version = os.readlink(link).split("/")[1] if link.is_symlink() else "nothing"
if (folder / "broken").exists():
    print("some line"); sys.exit("emerg: it can't load " + version[:8])
with (folder / "served").open("a") as served:
    served.write(version + "\\n")
"""


@dataclass
class TestCa:
    """Issues for any public key; its root is what a prober verifies against."""

    __test__ = False
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    name: x509.Name = field(
        default_factory=lambda: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    )

    @property
    def root(self) -> bytes:
        return _signed(
            self, self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=None)
        )

    def issue(self, public: CertificatePublicKeyTypes, name: str = NAME, days: Days = TODAY) -> bytes:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name)])
        return _signed(self, x509.Name([]), public, alternative, days)

    def certify(self, below: "TestCa", days: Days = TODAY) -> bytes:
        """The certificate of an intermediate CA."""
        ca = x509.BasicConstraints(ca=True, path_length=None)
        return _signed(self, below.name, below.key.public_key(), ca, days)

    def answer_all(self, csr: bytes) -> bytes:
        """For whatever names the request asks for."""
        request = x509.load_der_x509_csr(csr)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return _signed(self, x509.Name([]), request.public_key(), names)

    def answer(self, csr: bytes) -> bytes:
        return self.issue(x509.load_der_x509_csr(csr).public_key())


def _signed(
    ca: TestCa,
    subject: x509.Name,
    public: CertificatePublicKeyTypes,
    extension: x509.ExtensionType,
    days: Days = TODAY,
) -> bytes:
    now, (begins, ends) = dt.datetime.now(dt.UTC), days
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=begins))
        .not_valid_after(now + dt.timedelta(days=ends))
        .add_extension(extension, critical=True)
        .add_extension(_usage(ca=isinstance(extension, x509.BasicConstraints)), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
    )
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(*, ca: bool) -> x509.KeyUsage:
    none = dict.fromkeys(("content_commitment", "data_encipherment", "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(
        digital_signature=not ca,
        key_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        **none,
    )


def fingerprint(pem: bytes) -> str:
    return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()


def going(operation: int) -> Fence:
    return Fence(operation=f"operation-{operation:04}", epoch=1)


def undoing(operation: int) -> Fence:
    return Fence(operation=f"operation-{operation:04}", epoch=2)


def configured(folder: Path, reload: tuple[str, ...], **more: object) -> targets.FilesTarget:
    (folder / "target").mkdir(mode=0o700, exist_ok=True)
    return targets.FilesTarget.model_validate(
        {
            "name": "web-1",
            "directory": str(folder / "target"),
            "reload": reload,
            "verify": {"host": "127.0.0.1", "port": 1},
            **more,
        }
    )


def reload_program(folder: Path) -> tuple[str, ...]:
    """The command of a service that notes what it was told to load."""
    program = folder / "reload.py"
    if not program.exists():  # never written again: another process may be running it
        program.write_text(RELOAD)
    return (sys.executable, "-S", str(program), str(folder))


def with_program(folder: Path, **more: object) -> FilesTarget:
    return FilesTarget(configured(folder, reload_program(folder), **more))


def served(folder: Path) -> list[str]:
    """What the program has loaded, in order."""
    notes = folder / "served"
    return notes.read_text().split() if notes.exists() else []


def renew(target: Target, ca: TestCa, operation: int, *, key_id: str | None = None) -> str:
    """Key, order, stage; the new version's name."""
    bundle = ordered(target, ca, key_id or f"{operation:04x}")
    target.stage(bundle, going(operation))
    return bundle.version


def ordered(target: Target, ca: TestCa, key_id: str) -> Bundle:
    chain = ca.answer(target.make_key(key_id, "EC-P256", (NAME,)))
    return Bundle(version=fingerprint(chain), fullchain=chain, key_id=key_id, key_uri=None)
