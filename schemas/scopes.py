"""How the policy file says what something is about: a capability, workflow types, and a pattern over the subject."""

from typing import Annotated

from pydantic import Field

Pattern = Annotated[str, Field(min_length=1, max_length=200)]
"""Shell-style, over the subject."""
Capability = Annotated[str, Field(pattern=r"^(\*|[a-z][a-z-]{0,30})$")]
"""A capability's name, or `*` for each."""
WorkflowTypeName = Annotated[str, Field(pattern=r"^(\*|[A-Z][A-Za-z]{0,60})$")]
