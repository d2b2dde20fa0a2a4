"""`coatcheck verify-receipt`: checks a signed document without a server, a database or settings."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from coatcheck import signatures
from coatcheck.cli.console import AsJson, print_facts, print_json
from coatcheck.errors import ConfigurationError

MAX_KEY_SET_CHARACTERS = 1024 * 1024

Receipt = Annotated[str, typer.Argument(metavar="FILE", help="The receipt, or - for standard input.")]
KeySet = Annotated[
    str,
    typer.Option("--jwks", metavar="FILE", help="The key set of the server, from /.well-known/jwks.json."),
]


def verify_receipt(file: Receipt, jwks: KeySet, as_json: AsJson = False) -> None:
    """Checks that a receipt was signed by the server of a key set, and prints it. Works offline.

    Exit code 9: the receipt was altered, or none of the keys signed it.

    Example: coatcheck verify-receipt receipt.jws --jwks jwks.json
    """
    published = _published(jwks)
    document = signatures.verify(_read(file, "receipt", signatures.MAX_CHARACTERS).strip(), published)
    facts = {"type": document.type.value, "kid": document.kid}
    if as_json:
        print_json({"verified": True, **facts, "claims": document.claims})
    else:
        print_facts({"verified": True, **facts, **document.claims}, as_json=False)


def _published(file: str) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(_read(file, "key set", MAX_KEY_SET_CHARACTERS))
    except signatures.NO_JSON:
        raise ConfigurationError(
            f"The key set {file} is not JSON. Save /.well-known/jwks.json in it."
        ) from None
    keys = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(keys, list) or not all(isinstance(each, dict) for each in keys):
        raise ConfigurationError(f"The key set {file} has no list `keys`. Save /.well-known/jwks.json in it.")
    return keys


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
