"""What the certificates' activities measure, on the runtime's own meter."""

from datetime import UTC, datetime

from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from activities.certificates.measures import Measures
from schemas.certificates import CertificateFacts, SweepDecision, SweepFindings
from schemas.settings.certificates import RenewalPolicy

ENDS = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
FACTS = CertificateFacts(
    fingerprint="a" * 64,
    serial="1",
    names=("www.example.com",),
    issuer="CN=CA",
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    not_after=ENDS,
    public_key_sha256="b" * 64,
    key_algorithm="EC-P256",
)


def test_each_measure_is_a_time_or_a_number_under_names_of_the_settings() -> None:
    before = int(datetime.now(UTC).timestamp())
    buffer = MetricBuffer(100)
    measures = Measures(Runtime(telemetry=TelemetryConfig(metrics=buffer)).metric_meter)
    measures.held("www", {"web-1": FACTS, "web-2": None}, RenewalPolicy(before_days=30))
    measures.issued("www", "acme")
    measures.switched("www", "web-1")
    measures.unverified("www", "web-1")
    measures.closed("www", "renewed")
    due = SweepDecision(certificate="www", due=True, why="it ends soon")
    measures.swept(SweepFindings(looked_at=3, due=(due,), unreadable=(due, due), postponed=4))
    seen: dict[tuple[object, ...], float] = {}
    for update in buffer.retrieve_updates():
        labels = sorted((k, v) for k, v in update.attributes.items() if k != "service_name")
        key = (update.metric.name, *labels)
        counted = update.metric.name.endswith("_total")
        seen[key] = update.value + (seen.get(key, 0) if counted else 0)
    www, web = ("certificate", "www"), ("target", "web-1")
    assert seen.pop(("redoubt_certificate_not_after_seconds", www, web)) == ENDS.timestamp()
    assert seen.pop(("redoubt_certificate_due_seconds", www, web)) == ENDS.timestamp() - 30 * 86_400
    assert seen.pop(("redoubt_certificate_rotations_total", www, web)) == 1
    assert seen.pop(("redoubt_certificate_verification_failures_total", www, web)) == 1
    assert seen.pop(("redoubt_certificate_renewals_total", www, ("outcome", "renewed"))) == 1
    assert seen.pop(("redoubt_certificate_renewals_total", www, ("outcome", "undone"))) == 0
    for state, number in (("due", 1), ("held_off", 0), ("unreadable", 2), ("halted", 0), ("postponed", 4)):
        assert seen.pop(("redoubt_certificates_found", ("state", state))) == number
    now = datetime.now(UTC).timestamp()
    times = (
        ("redoubt_certificate_issued_seconds", www, ("issuer", "acme")),
        ("redoubt_certificate_last_renewal_seconds", www, ("outcome", "renewed")),
        ("redoubt_certificate_sweep_seconds",),
    )
    for name in times:
        assert before <= seen.pop(name) <= now
    assert seen == {}
