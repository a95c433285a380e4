"""Tests that do what people do: the command, the Web UI in a browser, and what happens on bad days."""
