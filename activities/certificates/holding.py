"""What a target holds now, told in one way to those who renew it and to those who only look."""

from clients.certificates import CertificateReader
from clients.targets import Target
from schemas.certificates import CertificateFacts
from schemas.errors import CertificateRejected


def held(target: Target, reader: CertificateReader) -> CertificateFacts | None:
    """Of the version in use; None for no certificate. Raises what a target raises that can't be looked at."""
    version = target.current()
    chain = target.read(version) if version else None
    try:
        return reader.read(chain) if chain else None
    except CertificateRejected:
        return None  # what can't be read as a certificate is none, and is to be replaced
