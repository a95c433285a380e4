"""The names of a certificate as X.509 writes them: DNS names and IP addresses, each as its own kind."""

import ipaddress

from cryptography import x509

from schemas.settings.names import is_address


def alternative_names(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([general_name(name) for name in names])


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)
