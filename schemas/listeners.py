"""Every listener of ours, by the name that its metrics have. There is no other: each is opened by `clients.listeners`.

What is not here is not ours: the metrics that Temporal's runtime serves on loopback, and the programs that the
embedded stack and the tests start.
"""

from enum import StrEnum


class Listener(StrEnum):
    API = "api"
    CODEC_SERVER = "codec-server"
    METRICS = "metrics"
    """Of the API and the codec server, on loopback."""
    HEALTH = "health"
    """Of a worker, with its metrics."""
    TLS_ALPN_01 = "tls-alpn-01"
    """Answers a CA's validation; open only while a proof is published."""
