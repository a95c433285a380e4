"""TLS of our own listeners: one policy, certificates that change under way, and what is counted of it."""
