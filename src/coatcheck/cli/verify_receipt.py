"""`coatcheck verify-receipt`: checks a signed document without a server, a database or settings."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from coatcheck import signatures
from coatcheck.cli.console import AsJson, print_facts, print_json
from coatcheck.errors import ConfigurationError, NotGenuine

MAX_KEY_SET_CHARACTERS = 1024 * 1024

Receipt = Annotated[str, typer.Argument(metavar="FILE", help="The receipt, or - for standard input.")]
KeySet = Annotated[
    str,
    typer.Option("--jwks", metavar="FILE", help="The key set of the server, from /.well-known/jwks.json."),
]


def verify_receipt(file: Receipt, jwks: KeySet, as_json: AsJson = False) -> None:
    """Checks that a receipt was signed by the server of a key set, and prints it. Works offline.

    Exit code 9: the receipt was altered, none of the keys signed it, or its key was withdrawn after a leak.

    Example: coatcheck verify-receipt receipt.jws --jwks jwks.json
    """
    published, withdrawn = _key_set(jwks)
    receipt = _read(file, "receipt", signatures.MAX_CHARACTERS).strip()
    _check_withdrawn(signatures.key_id(receipt), withdrawn)
    document = signatures.verify(receipt, published)
    facts = {"type": document.type.value, "kid": document.kid}
    if as_json:
        print_json({"verified": True, **facts, "claims": document.claims})
    else:
        print_facts({"verified": True, **facts, **document.claims}, as_json=False)


def _check_withdrawn(kid: str, withdrawn: list[Mapping[str, Any]]) -> None:
    # Whatever the date in the receipt: a thief of the key writes any date.
    for each in withdrawn:
        if each.get("kid") == kid:
            raise NotGenuine(
                f"The key {kid} was withdrawn at {each.get('withdrawn_at')}, because it may have leaked. Whoever has it"
                " signs with any date. Ask the server for the document again: it is signed with another key then."
            )


def _key_set(file: str) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The published keys, and the withdrawn ones."""
    try:
        content = json.loads(_read(file, "key set", MAX_KEY_SET_CHARACTERS))
    except signatures.NO_JSON:
        raise ConfigurationError(
            f"The key set {file} is not JSON. Save /.well-known/jwks.json in it."
        ) from None
    published = _objects(content, "keys")
    if published is None:
        raise ConfigurationError(f"The key set {file} has no list `keys`. Save /.well-known/jwks.json in it.")
    return published, _objects(content, "withdrawn") or []


def _objects(content: object, name: str) -> list[Mapping[str, Any]] | None:
    """A member of the content that is a list of objects; None if it is not."""
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        return None
    return found


def _read(file: str, what: str, max_characters: int) -> str:
    """The text of a file; no more than its limit is read."""
    try:
        if file == "-":
            text = sys.stdin.read(max_characters + 1)
        else:
            with Path(file).open(encoding="utf-8") as opened:
                text = opened.read(max_characters + 1)
    except OSError as error:
        raise ConfigurationError(f"The {what} {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"The {what} {file} cannot be read: it is not UTF-8.") from None
    if len(text) > max_characters:
        raise ConfigurationError(f"The {what} {file} is too long to be one.")
    return text
