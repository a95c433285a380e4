"""Circuit breakers around ports: a dependency that keeps failing is left alone for a while (`rules.breakers`).

A refused call raises `DependencyOpen`, which is retryable and says how many seconds are left, before anything has
an effect. State is this process's own: each worker finds out for itself, and none can shut out the others.
"""
