"""Long, seeded crash runs (`make test-chaos`)."""
