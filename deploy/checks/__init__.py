"""What `make check` and `make test` run, beyond the tools that have commands of their own."""
