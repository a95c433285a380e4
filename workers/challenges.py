"""From a challenge's settings to its solver; the library of each kind loads when one is made."""
# ruff: noqa: PLC0415 - each library loads when its part is first asked for

from pathlib import Path

from clients.challenges import ChallengeSolver
from clients.secrets import SecretSource
from schemas.settings.challenges import (
    ChallengeSettings,
    DnsPersistChallenge,
    TlsAlpnChallenge,
    WebrootChallenge,
)
from schemas.settings.dependencies import ResolverSettings


def made(given: ChallengeSettings, resolver: ResolverSettings, secrets: SecretSource) -> ChallengeSolver:
    if isinstance(given, WebrootChallenge):
        from clients.challenges.http01 import WebrootSolver

        return WebrootSolver(Path(given.webroot))
    if isinstance(given, TlsAlpnChallenge):
        from clients.challenges.tls_alpn01 import TlsAlpnSolver

        return TlsAlpnSolver(given.host, given.port)

    def secret() -> bytes:
        """Read at each update: the TSIG key may be changed while we run."""
        return secrets.resolve(given.update.secret) if given.update is not None else b""

    if isinstance(given, DnsPersistChallenge):
        from clients.challenges.dns_persist01 import DnsPersistSolver

        return DnsPersistSolver(given, resolver, secret)
    from clients.challenges.dns01 import Dns01Solver

    return Dns01Solver(given, resolver, secret)
