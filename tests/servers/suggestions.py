"""What Pebble says when it is asked when a certificate is to be renewed (RFC 9773), by its management interface."""

import json
import ssl
import urllib.request
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cli.dev.servers import Pebble


def suggest(ca: Pebble, chain: bytes, answer: object) -> None:
    """Have the CA answer so when it is asked about this certificate."""
    leaf = x509.load_pem_x509_certificate(chain).public_bytes(Encoding.PEM).decode()
    body = json.dumps(
        {"Certificate": leaf, "ARIResponse": answer if isinstance(answer, str) else json.dumps(answer)}
    )
    trust = ssl.create_default_context(cafile=str(ca.ca_file))
    asked = urllib.request.Request(f"{ca.management}/set-renewal-info/", body.encode(), method="POST")  # noqa: S310 - our own https URL
    with urllib.request.urlopen(asked, context=trust, timeout=60) as said:  # noqa: S310 - as above
        assert said.status == 200


def window_of(start: datetime, end: datetime) -> dict[str, object]:
    times = {"start": start.isoformat(), "end": end.isoformat()}
    return {"suggestedWindow": times, "explanationURL": "https://ca.example.net/why"}
