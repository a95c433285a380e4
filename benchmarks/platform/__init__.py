"""`platform`: what the Temporal platform costs over the bare SDK, and what a renewal survives."""

from benchmarks.figures import Benchmark
from benchmarks.platform import correlation, help, kills, renewal, throughput, worker  # noqa: A004 - it measures `--help`

BENCHMARK = Benchmark(
    name="platform",
    parts=(throughput.PART, correlation.PART, help.PART, worker.PART, renewal.PART, kills.PART),
    main="throughput",
)
