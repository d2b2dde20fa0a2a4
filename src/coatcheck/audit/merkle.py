"""A Merkle tree over a list of leaf hashes (RFC 9162 2.1; RFC 6962 hashes in the same way). No I/O, no state.

A tree that only grows is kept as its peaks: the roots of the complete subtrees of which it consists, the largest
first. 1,000,000 leaves have 7 peaks. Their number and sizes follow from the binary digits of the tree's size.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Peaks = tuple[bytes, ...]


def leaf_hash(data: bytes) -> bytes:
    """The zero byte distinguishes a leaf from an inner node."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def extend(size: int, peaks: Peaks, leaves: Sequence[bytes]) -> Peaks:
    """The peaks of a tree of `size` leaves after the leaf hashes are appended."""
    left, nodes, grown = [*peaks], [*leaves], []
    # From the lowest level to the highest. A digit of the size says whether the tree has a peak on the level.
    while size or nodes:
        if size & 1:
            nodes.insert(0, left.pop())
        if len(nodes) & 1:
            grown.append(nodes.pop())
        nodes = [node_hash(first, second) for first, second in zip(nodes[::2], nodes[1::2], strict=True)]
        size >>= 1
    return tuple(reversed(grown))


def root_of(peaks: Peaks) -> bytes:
    """The root of the tree."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root(leaves: Sequence[bytes]) -> bytes:
    """The root of the tree of these leaf hashes (RFC 9162 2.1.1)."""
    return root_of(extend(0, (), leaves))


def levels_of(leaves: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
    """The hashes of every level of the tree, the leaves first, for `inclusion_path`. There must be a leaf."""
    levels = [leaves]
    while len(below := levels[-1]) > 1:
        level = [node_hash(left, right) for left, right in zip(below[::2], below[1::2], strict=False)]
        # A last node without a neighbour is part of the next level as it is.
        levels.append([*level, below[-1]] if len(below) & 1 else level)
    return levels


def inclusion_path(levels: Sequence[Sequence[bytes]], index: int) -> Sequence[bytes]:
    """The hashes that prove that the leaf is in the tree, lowest first (RFC 9162 2.1.3.1)."""
    path = []
    for level in levels[:-1]:
        neighbour = index ^ 1
        if neighbour < len(level):
            path.append(level[neighbour])
        index >>= 1
    return path


def proves_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path proves that the leaf is at the index of the tree (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    found, last = leaf, size - 1
    for each in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            found = node_hash(each, found)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, each)
        index, last = index >> 1, last >> 1
    return last == 0 and found == root


def consistency_path(leaves: Sequence[bytes], first: int) -> Sequence[bytes]:
    """The hashes that prove that the tree begins with the tree of its `first` leaves (RFC 9162 2.1.4.1)."""
    return tuple(_consistency(leaves, first, is_whole=True)) if 0 < first < len(leaves) else ()


def proves_consistency(
    first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    """Whether the path proves that a tree of `second` leaves begins with one of `first` (RFC 9162 2.1.4.2)."""
    if first == second:
        return not path and first_root == second_root
    if not 0 < first < second or not path:
        return False
    hashes = list(path) if first & (first - 1) else [first_root, *path]
    index, last = first - 1, second - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            new = node_hash(new, each)
        index, last = index >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _consistency(leaves: Sequence[bytes], first: int, *, is_whole: bool) -> Iterator[bytes]:
    if first == len(leaves):
        if not is_whole:
            yield root(leaves)
        return
    left = _left_size(len(leaves))
    if first <= left:
        yield from _consistency(leaves[:left], first, is_whole=is_whole)
        yield root(leaves[left:])
    else:
        yield from _consistency(leaves[left:], first - left, is_whole=False)
        yield root(leaves[:left])


def split(hashes: bytes) -> Peaks:
    """The hashes that were joined."""
    return tuple(hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES))


def _left_size(size: int) -> int:
    """The size of the left subtree: the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
