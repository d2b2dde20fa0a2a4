"""The Merkle tree: roots, inclusion and consistency, against the recursive definitions of RFC 9162."""

from collections.abc import Sequence
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.audit.merkle import (
    consistency_path,
    extend,
    inclusion_path,
    leaf_hash,
    levels_of,
    proves_consistency,
    proves_inclusion,
    root,
    root_of,
)

SIZES = st.integers(min_value=1, max_value=70)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def naive_root(hashes: Sequence[bytes]) -> bytes:
    """RFC 9162 2.1.1, word for word."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return sha256(b"\x01" + naive_root(hashes[:k]) + naive_root(hashes[k:])).digest()


def naive_path(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    """RFC 9162 2.1.3.1, word for word."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if index < k:
        return [*naive_path(index, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(index - k, hashes[k:]), naive_root(hashes[:k])]


def test_the_root_of_nothing_and_of_known_data_is_that_of_other_implementations() -> None:
    # The test vectors of Certificate Transparency (google/certificate-transparency, merkletree).
    data = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    hashes = [leaf_hash(bytes.fromhex(each)) for each in data]
    assert [root(hashes[:size]).hex() for size in range(len(data) + 1)] == roots


@given(SIZES)
def test_the_root_is_that_of_the_definition(size: int) -> None:
    assert root(leaves(size)) == naive_root(leaves(size))


@given(st.lists(st.integers(min_value=0, max_value=9), max_size=12))
def test_a_tree_that_grows_in_steps_has_the_root_of_one_that_is_built_at_once(steps: list[int]) -> None:
    hashes, size, peaks = leaves(sum(steps)), 0, ()
    for step in steps:
        peaks = extend(size, peaks, hashes[size : size + step])
        size += step
        assert root_of(peaks) == naive_root(hashes[:size])
        assert len(peaks) == size.bit_count()


@given(SIZES, st.data())
def test_an_inclusion_path_is_that_of_the_definition_and_proves_one_leaf_at_one_index(
    size: int, data: st.DataObject
) -> None:
    hashes = leaves(size)
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    path = inclusion_path(levels_of(hashes), index)
    assert list(path) == naive_path(index, hashes)
    assert proves_inclusion(hashes[index], index, size, path, root(hashes))
    assert not proves_inclusion(leaf_hash(b"other"), index, size, path, root(hashes))
    assert not proves_inclusion(hashes[index], index, size, path, leaf_hash(b"other"))
    assert not proves_inclusion(hashes[index], index, size, [*path, hashes[0]], root(hashes))
    assert not proves_inclusion(hashes[index], size, size, path, root(hashes))
    for other in range(size):
        assert proves_inclusion(hashes[index], other, size, path, root(hashes)) == (other == index)
    if path:
        assert not proves_inclusion(hashes[index], index, size, path[1:], root(hashes))
        changed = [leaf_hash(path[0]), *path[1:]]
        assert not proves_inclusion(hashes[index], index, size, changed, root(hashes))


@given(SIZES, st.data())
def test_a_consistency_path_proves_that_a_tree_begins_with_an_earlier_one(
    size: int, data: st.DataObject
) -> None:
    hashes = leaves(size)
    first = data.draw(st.integers(min_value=1, max_value=size))
    path, early, late = consistency_path(hashes, first), root(hashes[:first]), root(hashes)
    assert proves_consistency(first, size, path, early, late)
    other = leaf_hash(b"other")
    assert not proves_consistency(first, size, path, other, late)
    assert not proves_consistency(first, size, path, early, other)
    assert not proves_consistency(first, size, [*path, other], early, late)
    assert not proves_consistency(0, size, path, early, late)
    assert not proves_consistency(size + 1, size, path, early, late)
    if path:
        assert not proves_consistency(first, size, path[:-1], early, late)
        assert not proves_consistency(first, size, [other, *path[1:]], early, late)


def test_a_consistency_path_proves_each_beginning_of_a_small_tree() -> None:
    for size in range(1, 18):
        hashes = leaves(size)
        for first in range(1, size + 1):
            path = consistency_path(hashes, first)
            assert proves_consistency(first, size, path, root(hashes[:first]), root(hashes)), (first, size)


@given(st.integers(min_value=2, max_value=70), st.data())
def test_no_path_proves_that_a_rewritten_tree_begins_with_the_earlier_one(
    size: int, data: st.DataObject
) -> None:
    hashes = leaves(size)
    first = data.draw(st.integers(min_value=1, max_value=size - 1))
    rewritten = [*hashes]
    rewritten[data.draw(st.integers(min_value=0, max_value=first - 1))] = leaf_hash(b"other")
    path = consistency_path(rewritten, first)
    assert not proves_consistency(first, size, path, root(hashes[:first]), root(rewritten))
