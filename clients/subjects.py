"""The names of a certificate as X.509 writes them: DNS names and IP addresses, each as its own kind."""

import ipaddress

from cryptography import x509

from schemas.settings.names import is_address


def alternative_names(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general(name) for name in names])


def _general(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)
