"""Real servers for the tests, started once a run, on demand, and shared by all test processes."""
