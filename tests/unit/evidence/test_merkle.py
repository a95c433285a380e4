"""The tree against RFC 6962's definition, taken literally, and against the vectors that CT's tests share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.merkle import (
    EMPTY_ROOT,
    CompactRange,
    extends,
    includes,
    leaf_hash,
    node_hash,
    range_of,
    root_of,
)

LEAVES = [
    leaf_hash(bytes.fromhex(entry))
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
FIRST_OF_EIGHT = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]

trees = st.integers(1, 70).map(lambda size: [leaf_hash(bytes([number])) for number in range(size)])


def split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def tree_hash(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    cut = split(len(leaves))
    return node_hash(tree_hash(leaves[:cut]), tree_hash(leaves[cut:]))


def audit_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    cut = split(len(leaves))
    if index < cut:
        return [*audit_path(index, leaves[:cut]), tree_hash(leaves[cut:])]
    return [*audit_path(index - cut, leaves[cut:]), tree_hash(leaves[:cut])]


def subproof(first: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2."""
    if first == len(leaves):
        return [] if whole else [tree_hash(leaves)]
    cut = split(len(leaves))
    if first <= cut:
        return [*subproof(first, leaves[:cut], whole=whole), tree_hash(leaves[cut:])]
    return [*subproof(first - cut, leaves[cut:], whole=False), tree_hash(leaves[:cut])]


def test_the_empty_tree() -> None:
    assert root_of([]) == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_a_known_inclusion_proof() -> None:
    proof = [bytes.fromhex(node) for node in FIRST_OF_EIGHT]
    assert includes(proof, 0, 8, LEAVES[0], bytes.fromhex(ROOTS[7]))
    assert audit_path(0, LEAVES) == proof


@given(trees)
def test_appending_gives_the_root_of_the_definition(leaves: list[bytes]) -> None:
    assert root_of(leaves) == tree_hash(leaves)


@given(trees, st.data())
def test_a_stored_range_is_gone_on_from(leaves: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    tree = CompactRange.decode(cut, range_of(leaves[:cut]).encode())
    for leaf in leaves[cut:]:
        tree = tree.append(leaf)
    assert tree == range_of(leaves)


@given(trees, st.data())
def test_inclusion(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = audit_path(index, leaves), tree_hash(leaves)
    assert includes(proof, index, len(leaves), leaves[index], root)
    assert not includes(proof, index, len(leaves), leaf_hash(b"another"), root)
    assert not includes([*proof, root], index, len(leaves), leaves[index], root)
    assert not includes(proof, len(leaves), len(leaves), leaves[index], root)
    if proof:
        assert not includes(proof[:-1], index, len(leaves), leaves[index], root)


@given(trees, st.data())
def test_a_leaf_is_included_at_its_own_index_only(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(st.integers(0, len(leaves) - 1).filter(lambda one: one != index) | st.just(-1))
    proof = audit_path(index, leaves)
    assert not includes(proof, other, len(leaves), leaves[index], tree_hash(leaves))


@given(trees, st.data())
def test_consistency(leaves: list[bytes], data: st.DataObject) -> None:
    first, second = data.draw(st.integers(1, len(leaves))), len(leaves)
    old, new = tree_hash(leaves[:first]), tree_hash(leaves)
    proof = subproof(first, leaves)
    assert extends(proof, first, second, old, new)
    assert not extends(proof, first, second, leaf_hash(b"another"), new)
    assert not extends(proof, first, second, old, leaf_hash(b"another"))
    assert not extends([*proof, old], first, second, old, new)
    if proof:
        assert not extends(proof[:-1], first, second, old, new)


def test_what_is_no_proof_at_all() -> None:
    root = root_of(LEAVES)
    assert not extends([], 0, 8, EMPTY_ROOT, root)
    assert not extends([], 9, 8, root, root)
    assert not extends([], 3, 8, root, root)


@pytest.mark.parametrize(("size", "encoded"), [(3, b"\x00" * 32), (1, b"\x00" * 31), (0, b"\x00" * 32)])
def test_a_range_of_another_size_is_refused(size: int, encoded: bytes) -> None:
    with pytest.raises(ValueError, match="compact range"):
        CompactRange.decode(size, encoded)
