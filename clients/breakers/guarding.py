"""A port's object behind its dependency's breaker: whoever holds it needs to know nothing of the breaker.

Every method of the port goes through the breaker, but those that are named: they ask nobody, or must not wait for
anybody, like putting back what was switched.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from clients.breakers.breaker import Breaker
from clients.secrets import SecretSource
from schemas.errors import DependencyUnavailable, RedoubtError

T = TypeVar("T")


def guarded(inner: T, breaker: Breaker, away: type[RedoubtError], *, free: frozenset[str] = frozenset()) -> T:
    """The same port; methods in `free` don't go through the breaker, and `away` counts as a failure (`Breaker.call`).

    The methods stand on a class made for it: whether an object has an optional port's methods (`runtime_checkable`)
    is looked up there, past `__getattr__`.
    """
    methods = {name: _method(name) for name in dir(type(inner)) if _is_method(type(inner), name)}
    return cast("T", type(f"Guarded{type(inner).__name__}", (_Guarded,), methods)(inner, breaker, away, free))


class _Guarded:
    def __init__(
        self, inner: object, breaker: Breaker, away: type[RedoubtError], free: frozenset[str]
    ) -> None:
        self._inner = inner
        self._breaker = breaker
        self._away = away
        self._free = free

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _is_method(kind: type, name: str) -> bool:
    return not name.startswith("_") and callable(getattr(kind, name))


def _method(name: str) -> Callable[..., Any]:
    def asked(self: _Guarded, *given: Any, **named: Any) -> Any:
        method = getattr(self._inner, name)
        if name in self._free:
            return method(*given, **named)
        return self._breaker.call(lambda: method(*given, **named), self._away)

    return asked


class GuardedSecrets:
    """A `SecretSource` that leaves Vault alone while its breaker is open; other references ask nobody."""

    def __init__(self, source: SecretSource, breaker: Breaker) -> None:
        self._source = source
        self._breaker = breaker

    def resolve(self, reference: str) -> bytes:
        if reference.startswith("vault:"):
            return self._breaker.call(lambda: self._source.resolve(reference), DependencyUnavailable)
        return self._source.resolve(reference)
