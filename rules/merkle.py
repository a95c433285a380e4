"""The Merkle tree of RFC 6962 (section 2.1), in functions of a few lines.

A tree over n leaves is split at the largest power of two below n, so it is the sequence of perfect trees that
n's binary digits name, largest first. A `CompactRange` is the list of their roots: enough to append to the tree
and to know its root, without any leaf. Leaves and nodes are hashed with different prefixes, so that neither can
pass for the other. Proofs are verified as RFC 9162 sections 2.1.3.2 and 2.1.4.2 describe.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class CompactRange:
    """The roots of the perfect trees that make up a tree of `size` leaves, largest first."""

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.roots) != self.size.bit_count() or any(len(root) != HASH_BYTES for root in self.roots):
            raise ValueError("a compact range has one hash for each binary digit of its size")

    def append(self, leaf: bytes) -> "CompactRange":
        """The range with one more leaf hash: as many trees merge as the size ends in ones."""
        roots = list(self.roots)
        size = self.size
        while size & 1:
            leaf = node_hash(roots.pop(), leaf)
            size >>= 1
        return CompactRange(self.size + 1, (*roots, leaf))

    def root(self) -> bytes:
        if not self.roots:
            return EMPTY_ROOT
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node_hash(left, root)
        return root

    def encode(self) -> bytes:
        return b"".join(self.roots)

    @staticmethod
    def decode(size: int, encoded: bytes) -> "CompactRange":
        """Raises `ValueError` unless the bytes are a range of this size."""
        cuts = range(0, len(encoded), HASH_BYTES)
        return CompactRange(size, tuple(encoded[cut : cut + HASH_BYTES] for cut in cuts))


def range_of(leaves: Iterable[bytes]) -> CompactRange:
    whole = CompactRange()
    for leaf in leaves:
        whole = whole.append(leaf)
    return whole


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, in memory that does not grow with their number."""
    return range_of(leaves).root()


def includes(proof: Sequence[bytes], index: int, size: int, leaf: bytes, root: bytes) -> bool:
    """Whether `proof` shows that the tree of `size` leaves under `root` has `leaf` (a hash) at `index`."""
    if not 0 <= index < size:
        return False
    node, last = index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            leaf = node_hash(sibling, leaf)
            node, last = _climb(node, last)
        else:
            leaf = node_hash(leaf, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and leaf == root


def extends(proof: Sequence[bytes], first: int, second: int, first_root: bytes, second_root: bytes) -> bool:
    """Whether `proof` shows that the tree of `second` leaves begins with that of `first` leaves."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first.bit_count() == 1 else list(proof)
    if not path:
        return False
    node, last = _climb_odd(first - 1, second - 1)
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            node, last = _climb(node, last)
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _climb(node: int, last: int) -> tuple[int, int]:
    """Up to where the node is a right child: levels on which it has no sibling add nothing to a proof."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def _climb_odd(node: int, last: int) -> tuple[int, int]:
    """Up past the levels that are complete in the smaller tree: its proof begins there."""
    while node & 1:
        node, last = node >> 1, last >> 1
    return node, last
