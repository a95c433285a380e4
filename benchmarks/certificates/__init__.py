"""`certificates`: renewals beside certbot and a bare loop, how they grow, and what visitors and clients notice."""

from benchmarks.certificates import handshakes, issuance, visitors
from benchmarks.figures import Benchmark

BENCHMARK = Benchmark(
    name="certificates",
    parts=(issuance.COMPARED, visitors.PART, *handshakes.PARTS, *issuance.GROWTH),
    main="issuance",
)
