"""Checkpoints: signed statements of the size, root and time of the log. No I/O, no state.

The text is that of C2SP tlog-checkpoint, with the time as its extension line, in the signed-note format:

    coatcheck.example/audit                        origin: the name of the log
    1234                                           size: the number of entries
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=   root of the Merkle tree of these entries
    2026-01-31T12:00:00Z                           time of the signature

    — coatcheck.example/audit 8d3l...              first 4 bytes of the key's hash, and the Ed25519 signature
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coatcheck.audit.merkle import HASH_BYTES

ED25519 = b"\x01"
"""The identifier of the algorithm in C2SP signed-note."""
KEY_HASH_BYTES = 4
INSTANT = "%Y-%m-%dT%H:%M:%SZ"
SIGNATURE_MARK = "— "  # C2SP signed-note: an em dash


@dataclass(frozen=True, slots=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes
    at: datetime

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n{self.at:{INSTANT}}\n"


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint whose signature was verified."""

    checkpoint: Checkpoint
    public_key: bytes


class Unreadable(ValueError):
    """The text is not a checkpoint, or its signature is not valid. The message says which."""


def sign(checkpoint: Checkpoint, public_key: bytes, signature_of: Callable[[bytes], bytes]) -> str:
    """The checkpoint as a signed note.

    Args:
        checkpoint: what is signed.
        public_key: 32 bytes, of Ed25519.
        signature_of: signs with the private key.
    """
    key_hash = _key_hash(checkpoint.origin, public_key)
    signature = b64encode(key_hash + signature_of(checkpoint.text.encode())).decode()
    return f"{checkpoint.text}\n{SIGNATURE_MARK}{checkpoint.origin} {signature}\n"


def open_note(note: str, public_keys: Collection[bytes]) -> Opened:
    """Verifies the signature of a signed note.

    Args:
        note: what `sign` returned.
        public_keys: the keys that may have signed.

    Raises:
        Unreadable: it is not a checkpoint, or none of the keys signed it.
    """
    checkpoint = parse(note)
    # A note can have signatures of others too, such as witnesses (C2SP signed-note). Those are passed over.
    for line in note.partition("\n\n")[2].splitlines():
        name, _, encoded = line.removeprefix(SIGNATURE_MARK).partition(" ")
        try:
            signature = b64decode(encoded, validate=True)
        except binascii.Error:
            continue
        for public_key in public_keys:
            # Four bytes of a hash can be those of another key too. They only save the verification by the others.
            if (
                name == checkpoint.origin
                and signature[:KEY_HASH_BYTES] == _key_hash(name, public_key)
                and _is_signed(checkpoint.text, signature[KEY_HASH_BYTES:], public_key)
            ):
                return Opened(checkpoint, public_key)
    raise Unreadable("its signature is not by a key of this log")


def parse(note: str) -> Checkpoint:
    """The checkpoint of a signed note, whose signature is not verified.

    Raises:
        Unreadable: it is not a checkpoint.
    """
    text, _, _ = note.partition("\n\n")
    lines = text.split("\n")
    try:
        origin, size, root, at = lines
        checkpoint = Checkpoint(
            origin,
            int(size),
            b64decode(root, validate=True),
            datetime.strptime(at, INSTANT).replace(tzinfo=UTC),
        )
    except ValueError:
        raise Unreadable("it is not the text of a checkpoint") from None
    # `int` and `strptime` read other spellings of the same values, and the signature is over the bytes.
    if len(checkpoint.root) != HASH_BYTES or checkpoint.text != f"{text}\n":
        raise Unreadable("it is not the canonical text of a checkpoint")
    return checkpoint


def verifier_key(origin: str, public_key: bytes) -> str:
    """The public key in the form that other programs read (C2SP signed-note: verifier key)."""
    encoded = b64encode(ED25519 + public_key).decode()
    return f"{origin}+{_key_hash(origin, public_key).hex()}+{encoded}"


def parse_verifier_key(text: str) -> bytes:
    """The public key of `verifier_key`.

    Raises:
        Unreadable: it is not such a key.
    """
    origin, _, rest = text.strip().partition("+")
    _, _, encoded = rest.partition("+")
    try:
        decoded = b64decode(encoded, validate=True)
    except binascii.Error:
        decoded = b""
    if decoded[:1] != ED25519 or verifier_key(origin, decoded[1:]) != text.strip():
        raise Unreadable("it is not a verifier key")
    return decoded[1:]


def _key_hash(name: str, public_key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:KEY_HASH_BYTES]


def _is_signed(text: str, signature: bytes, public_key: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True
