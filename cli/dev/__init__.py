"""The embedded stack: every real part as a child process on loopback, with its state in one folder."""
