"""What a listener counts, for Prometheus: handshakes, the resumed ones, failures by reason, certificates taken over.

A handshake that ends because the client went away before it was done is in `begun` alone.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge

from rules.tls import REASONS


class Counts:
    """The counters of one listener, in its own registry or in the process's. Safe to use from any thread."""

    def __init__(self, listener: str, registry: CollectorRegistry | None = None) -> None:
        self._registry = registry or CollectorRegistry()
        self._listener = listener
        self._begun = self._counter("redoubt_tls_handshakes_begun", "Handshakes that clients began.")
        self._done = self._counter("redoubt_tls_handshakes", "Handshakes that were finished.", "resumed")
        self._failed = self._counter(
            "redoubt_tls_handshake_failures", "Handshakes that failed, by reason.", "reason"
        )
        self._taken = self._counter(
            "redoubt_tls_reloads", "Changed files of a listener: taken over, or refused.", "what", "outcome"
        )
        self._ends = Gauge(
            "redoubt_tls_certificate_not_after_seconds",
            "When the certificate that is served ends (Unix time).",
            ["listener", "what"],
            registry=self._registry,
        )
        # A share, and an increase, are seen only of series that are there: they begin with 0.
        for resumed in ("yes", "no"):
            self._done.labels(listener, resumed)
        for reason in sorted(REASONS):
            self._failed.labels(listener, reason)
        self._known("trust")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, ["listener", *labels], registry=self._registry)

    def begun(self) -> None:
        self._begun.labels(self._listener).inc()

    def done(self, *, resumed: bool) -> None:
        self._done.labels(self._listener, "yes" if resumed else "no").inc()

    def failed(self, reason: str) -> None:
        self._failed.labels(self._listener, reason).inc()

    def taken(self, what: str, *, accepted: bool) -> None:
        """`what`: the first name of a certificate, or `trust`."""
        self._taken.labels(self._listener, what, "accepted" if accepted else "refused").inc()

    def served(self, what: str, not_after: float) -> None:
        self._known(what)
        self._ends.labels(self._listener, what).set(not_after)

    def _known(self, what: str) -> None:
        for outcome in ("accepted", "refused"):
            self._taken.labels(self._listener, what, outcome)
