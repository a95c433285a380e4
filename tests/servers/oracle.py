"""What a CA itself says of a certificate, read without any code of ours."""

import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

from cryptography import x509


def said_by_pebble(management: str, ca_file: Path, chain: bytes) -> dict[str, Any]:
    """What Pebble's management interface (ADDRESS:PORT) tells of a chain's leaf: `Status` and, if revoked, `Reason`."""
    serial = f"{x509.load_pem_x509_certificate(chain).serial_number:x}"
    trust = ssl.create_default_context(cafile=str(ca_file))
    url = f"https://{management}/cert-status-by-serial/{serial}"
    with urllib.request.urlopen(url, context=trust, timeout=60) as answer:
        told: dict[str, Any] = json.loads(answer.read(1 << 20))
    return told
