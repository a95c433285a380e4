"""`redoubt certs rehearse`: a whole order at the CA for rehearsals, checked and thrown away; nothing is switched.

It runs here and not in a worker, so the answers to challenges must be publishable from this host. Its key is made for
the one request, in memory, and belongs to nothing.
"""

from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cli.output import say
from clients.issuers import Rehearses
from clients.settings import load
from clients.subjects import alternative_names
from schemas.errors import InvalidSettings, UnknownSubject
from workers.wiring import Wiring


def rehearse(
    certificate: Annotated[
        str, typer.Argument(metavar="CERTIFICATE", help="The certificate, as the settings name it.")
    ],
    issuer: Annotated[str, typer.Option(help="Which of its issuers; the first that can without.")] = "",
) -> None:
    """Try an order at the issuer's CA for rehearsals, without counting against the limits of the real one."""
    settings = load()
    given = settings.certificates.get(certificate)
    if given is None:
        raise UnknownSubject(f"No certificate {certificate!r} is in the inventory.")
    if issuer and issuer not in given.issuers:
        raise InvalidSettings(f"certificates.{certificate}.issuers does not name {issuer!r}.")
    wiring = Wiring(settings)
    for name in (issuer,) if issuer else given.issuers:
        trying = wiring.issuer(name)
        if isinstance(trying, Rehearses) and trying.can_rehearse():
            say(f"Rehearsing at {name}: {', '.join(given.names)}")
            trying.rehearse(given.names, _request(given.names), _nothing)
            say("The rehearsal went well: what was issued was checked, and is thrown away.")
            return
    raise InvalidSettings(
        f"No issuer of {certificate} has a staging_directory, so there is nowhere to rehearse. Name the CA's own, "
        "as issuers.NAME.staging_directory."
    )


def _request(names: tuple[str, ...]) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    asked = builder.add_extension(alternative_names(names), critical=False)
    return asked.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


def _nothing() -> None:
    """Nobody waits for a beat here."""
