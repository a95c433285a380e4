"""The demo: real parts, real kills, and a table of what was proved; one module a chapter."""
