"""Values that are no secret: empty, a default of some product, an example, one character repeated.

Refusing these is all that can be said of a value without knowing its purpose: a PIN may be short, a key may
not, and each consumer checks its own length.
"""

import re

_WELL_KNOWN = frozenset(
    """
    changeme changeit changethis password passw0rd p4ssw0rd secret secretkey supersecret mysecret topsecret
    example examplekey examplesecret sample default admin administrator root toor test testing token key pin
    guest user demo dev devonlytoken development insecure unsafe replaceme fixme todo none null undefined empty
    yourpassword yoursecret yourtoken yourkey password1 password123 admin123 letmein welcome qwerty abc123
    1234 12345 123456 1234567 12345678 123456789 1234567890 87654321 654321 4321 0123 01234567 010203040506
    0123456789abcdef 0123456789abcdef0123456789abcdef 00112233445566778899aabbccddeeff deadbeef cafebabe
    000102030405060708090a0b0c0d0e0f 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    """.split()  # noqa: SIM905  a list of words reads better than forty quoted ones
)
_PLACEHOLDER = re.compile(rb"<[^<>]*>|\$\{[^{}]*\}|\{\{[^{}]*\}\}")


def why_refused(value: bytes) -> str | None:
    """What is wrong with it, in words that do not repeat it; None if nothing is."""
    core = value.strip()
    if not core:
        return "is empty"
    if len(set(core)) == 1:
        return "is one character repeated"
    if _PLACEHOLDER.fullmatch(core):
        return "is a placeholder that nobody filled in"
    if re.sub(rb"[^a-z0-9]", b"", core.lower()).decode() in _WELL_KNOWN:
        return "is a well-known default or example"
    return None
