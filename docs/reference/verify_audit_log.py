"""Verifies an export of Coatcheck's audit log. It needs Python 3.9 or newer and `cryptography`, nothing of Coatcheck.

    python verify_audit_log.py EXPORT [--checkpoints FILE]... [--key KEY]...

It follows audit-log.md beside it. The exit code is 1 if something was altered, 2 if a file or key cannot be used.
Without --key it trusts the keys in the export: then it proves that the export agrees with itself, but not who made it.
"""

import argparse
import binascii
import json
import re
import sys
from base64 import b64decode
from datetime import datetime, timedelta, timezone
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "coatcheck-audit-log-1"
NOTE = re.compile(r"([^\n]+\n[0-9]+\n[^\n]+\n[^\n]+\n)\n((?:— [^\n]+\n)+)")
INSTANT = "%Y-%m-%dT%H:%M:%SZ"
TOLERANCE = timedelta(minutes=5)


def refuse(text):
    print(text, file=sys.stderr)
    sys.exit(2)


def is_verifier_key(text):
    name, _, rest = text.partition("+")
    key_hash, _, encoded = rest.partition("+")
    try:
        public = b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    is_ed25519 = len(public) == 33 and public[0] == 1
    return is_ed25519 and sha256(f"{name}\n".encode() + public).digest()[:4].hex() == key_hash


def leaf(text):
    return sha256(b"\x00" + text.encode()).digest()


def node(left, right):
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """The roots of the complete subtrees, the largest first."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def append(self, hash_):
        self.size += 1
        self.peaks.append(hash_)
        count = self.size
        while count % 2 == 0:
            right = self.peaks.pop()
            self.peaks.append(node(self.peaks.pop(), right))
            count //= 2

    def root(self):
        if not self.peaks:
            return sha256(b"").digest()
        *left, root = self.peaks
        for peak in reversed(left):
            root = node(peak, root)
        return root


def climb(hash_, index, size, path):
    """The root that an inclusion path gives (RFC 9162 2.1.3.2), or None."""
    last = size - 1
    for each in path:
        if last == 0:
            return None
        if index % 2 or index == last:
            hash_ = node(each, hash_)
            while index and index % 2 == 0:
                index, last = index // 2, last // 2
        else:
            hash_ = node(hash_, each)
        index, last = index // 2, last // 2
    return hash_ if last == 0 else None


def is_prefix(first, second, path, first_root, second_root):
    """Whether the tree of `second` leaves begins with the one of `first` (RFC 9162 2.1.4.2)."""
    if first == second:
        return not path and first_root == second_root
    if not 0 < first < second or not path:
        return False
    path = path if first & (first - 1) else [first_root, *path]
    index, last = first - 1, second - 1
    while index % 2:
        index, last = index // 2, last // 2
    old = new = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if index % 2 or index == last:
            old, new = node(each, old), node(each, new)
            while index and index % 2 == 0:
                index, last = index // 2, last // 2
        else:
            new = node(new, each)
        index, last = index // 2, last // 2
    return last == 0 and old == first_root and new == second_root


def was_replaced(key, at):
    until = key["replaced_at"]
    return until is not None and moment(at) > moment(until) + TOLERANCE


def moment(text):
    return datetime.strptime(text, INSTANT).replace(tzinfo=timezone.utc)  # noqa: UP017 - Python 3.9


class Verifier:
    def __init__(self, keys, published):
        self.trusted, self.published, self.problems = keys, published, []
        self.keys, self.tree, self.last, self.key_index = [], Tree(), None, 0
        self.is_client, self.entries, self.roots = False, [], {}

    def problem(self, text):
        self.problems.append(text)

    def header(self, line):
        if line["format"] != FORMAT:
            refuse(f"This program reads {FORMAT}.")
        self.is_client = line["client_guid"] is not None
        self.keys = [each for each in line["keys"] if not self.trusted or each["key"] in self.trusted]
        if not self.keys:
            refuse("No key of the export is trusted: none of them was given with --key.")

    def line(self, line):
        if line["type"] == "entry":
            self.entry(line)
        elif line["type"] == "checkpoint":
            self.checkpoint(line["note"])
        elif line["type"] == "consistency":
            self.consistency(line)
        else:
            self.problem(f"Unknown line: {line['type']}")

    def entry(self, line):
        hash_, index = bytes.fromhex(line["leaf_hash"]), line["index"]
        if "text" in line and leaf(line["text"]) != hash_:
            self.problem(f"Entry {index} was changed: {line['text'][:200]}")
        if self.is_client:
            if self.last is not None:
                self.problem(f"Entry {index} stands after the checkpoint: it is not proven.")
            self.entries.append((index, hash_, [bytes.fromhex(each) for each in line["path"]]))
            return
        if index != self.tree.size:
            self.problem(f"Entry {index} stands where {self.tree.size} is expected.")
        self.tree.append(hash_)
        self.roots[self.tree.size] = self.tree.root() if self.tree.size in self.published else None

    def checkpoint(self, note):
        opened = self.open(note, "A checkpoint")
        if opened is None:
            return
        origin, size, root, at = opened
        if self.last is not None and (size <= self.last[1] or at < self.last[3] or origin != self.last[0]):
            self.problem(f"The checkpoint of {size} entries does not follow the one of {self.last[1]}.")
        if not self.is_client and (size != self.tree.size or root != self.tree.root()):
            begin = self.last[1] if self.last else 0
            self.problem(f"The checkpoint of {size} entries has another root: one of the entries {begin} to {size - 1}"
                         " was changed, inserted, deleted or moved.")  # fmt: skip
        for index, hash_, path in self.entries:
            if climb(hash_, index, size, path) != root:
                self.problem(f"Entry {index} is not in the log of the checkpoint.")
        if self.is_client:
            self.roots[size] = root
        self.last = opened

    def open(self, note, name):
        """The origin, size, root and time of a note whose signature is valid."""
        found = NOTE.fullmatch(note)
        if not found:
            self.problem(f"{name} is not a checkpoint: {note[:100]!r}")
            return None
        text, signatures = found.groups()
        origin, size, root, at = text.splitlines()
        for line in signatures.splitlines():
            signer, _, encoded = line[2:].partition(" ")
            for index, key in enumerate(self.keys):
                key_name, key_hash, public = key["key"].split("+", 2)
                signature = b64decode(encoded)
                if signer != origin or key_name != origin or signature[:4].hex() != key_hash:
                    continue
                try:
                    Ed25519PublicKey.from_public_bytes(b64decode(public)[1:]).verify(
                        signature[4:], text.encode()
                    )
                except InvalidSignature:
                    continue
                if index < self.key_index or was_replaced(key, at):
                    self.problem(f"{name} of {size} entries is signed with a key that was replaced before.")
                self.key_index = max(index, self.key_index)
                return origin, int(size), b64decode(root), at
        self.problem(f"{name} of {size} entries has no valid signature.")
        return None

    def consistency(self, line):
        first = self.published.get(line["first"])
        if first is None:
            self.problem(f"Give the checkpoint of {line['first']} entries with --checkpoints.")
        elif not is_prefix(line["first"], line["second"], [bytes.fromhex(each) for each in line["path"]],
                           first[2], self.last[2]):  # fmt: skip
            self.problem(
                f"The log does not begin with the checkpoint of {line['first']} entries: it was rewritten."
            )
        else:
            self.roots[line["first"]] = first[2]

    def end(self):
        if self.last is None or not (self.is_client or self.last[1] == self.tree.size):
            self.problem("The export ends with entries that no checkpoint covers.")
        self.compare_published()

    def result(self):
        origin, size, _, at = self.last
        if not self.is_client:
            return f"The log {origin} is intact: {size} entries, signed {at}."
        return (
            f"{len(self.entries)} entries of this client are in the log of {size} ({origin}, signed {at});"
            " that none is missing is not proven."
        )

    def compare_published(self):
        end = self.last[1] if self.last else 0
        for size, (_, _, root, _) in self.published.items():
            if size > end:
                self.problem(
                    f"A published checkpoint has {size} entries, the export {end}: the log was cut off."
                )
            elif size in self.roots and self.roots[size] != root:
                self.problem(
                    f"The published checkpoint of {size} entries has another root: the log was rewritten."
                )
            elif size not in self.roots and not self.is_client:
                self.problem(f"The export has no state of {size} entries, which was published.")


def read_published(files, verifier):
    last = before = None
    for file in files:
        for found in NOTE.finditer(read(file)):
            if found.group() == before:  # two workers appended it
                continue
            before = found.group()
            opened = verifier.open(found.group(), f"The published checkpoint in {file}")
            if opened is not None:
                if last is not None and (opened[1] <= last[1] or opened[3] < last[3]):
                    verifier.problem(
                        f"The published checkpoint of {opened[1]} entries does not follow the one before."
                    )
                yield opened
                last = opened


def read(file):
    try:
        with open(file, encoding="utf-8") as content:
            return content.read()
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"The file {file} cannot be read: {error}.")


def parsed(file):
    """The lines of an export."""
    try:
        with open(file, encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    except (OSError, ValueError) as error:
        refuse(f"The export {file} cannot be read: {error}.")


def arguments_of_command():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export")
    parser.add_argument("--checkpoints", action="append", default=[], help="a file of published checkpoints")
    parser.add_argument(
        "--key", action="append", default=[], help="a key that you trust, as text; no other may sign"
    )
    arguments = parser.parse_args()
    for key in arguments.key:
        if not is_verifier_key(key):
            refuse(f"--key is not a verifier key: {key}. It has the form name+hash+key, as in audit-log.md.")
    return arguments


def main():
    arguments = arguments_of_command()
    verifier = Verifier(arguments.key, {})
    lines = parsed(arguments.export)
    header = next(lines, None)
    if not isinstance(header, dict) or header.get("type") != "log":
        refuse(f"{arguments.export} is not an export: its first line is not of the type log.")
    verifier.header(header)
    verifier.published.update((each[1], each) for each in read_published(arguments.checkpoints, verifier))
    verifier.key_index = 0
    for line in lines:
        verifier.line(line)
    verifier.end()
    for problem in verifier.problems:
        print(problem)
    if verifier.problems:
        sys.exit(1)
    print(verifier.result())


if __name__ == "__main__":
    main()
