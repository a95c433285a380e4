"""What Redoubt depends on outside: when a failing one is left alone, where it may connect, whom it asks for names."""

import ipaddress

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from schemas.contract import Contract


class BreakerSettings(Contract):
    failures: PositiveInt = Field(default=5, description="It opens after so many failures in a row.")
    open_s: PositiveFloat = Field(
        default=60.0, description="While open it refuses every call; after this it lets probes through."
    )
    probes: PositiveInt = Field(
        default=3, description="So many calls are let through then; it closes once all of them have worked."
    )


class EgressSettings(Contract):
    allow: tuple[str, ...] = Field(
        default=(),
        description="Networks of yours that an address from outside may lie in: [10.0.0.0/8, fd00::/8]. All other "
        "addresses that are not public are refused.",
    )

    @field_validator("allow")
    @classmethod
    def _networks(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for one in allow:
            try:
                ipaddress.ip_network(one)
            except ValueError as wrong:
                raise ValueError(f"a network has the form 10.0.0.0/8 or fd00::/8: {wrong}") from None
        return allow


class ResolverSettings(Contract):
    servers: tuple[str, ...] = Field(
        default=(),
        description="ADDRESS or ADDRESS#PORT of the name servers that CAA records are asked of; empty: the system's.",
    )
    timeout_s: PositiveFloat = Field(
        default=10.0, description="How long one question may take, with its retries."
    )

    @field_validator("servers")
    @classmethod
    def _addresses(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for one in servers:
            address, _, port = one.partition("#")
            ipaddress.ip_address(address)
            if port and not (port.isdigit() and 0 < int(port) < 1 << 16):
                raise ValueError("a name server's port is a number from 1 to 65535")
        return servers
