"""After which errors another issuer is asked.

Only what lies with the CA or the way to it, and so with what it wants to be shown (another may want to see something
else, or nothing): what is wrong with the certificate, the key or the targets would be
just as wrong with the next one.
"""

ISSUER_FAILED = frozenset(
    (
        "AccountRefused",
        "CaRateLimited",
        "CaRefused",
        "CaUnavailable",
        "CaaForbids",
        "CertificateAwaited",
        "ChallengeNotVisible",
        "DependencyOpen",
        "DependencyUnavailable",
        "DnsUpdateRefused",
        "EgressRefused",
        "OrderInvalid",
        "OrderLost",
        "VaultLoginRefused",
        "WrappedSecretSpent",
    )
)


def another_may_help(code: str) -> bool:
    return code in ISSUER_FAILED
