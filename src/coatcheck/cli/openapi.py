"""`coatcheck openapi`: the document of what this version serves, without a server."""

import json
from importlib.metadata import version
from typing import Annotated

import typer

from coatcheck.api.openapi import document
from coatcheck.api.routes.table import GROUPS
from coatcheck.cli.console import show_json
from coatcheck.config import load


def openapi(
    base_url: Annotated[
        str | None, typer.Option(help="The server's address; else the setting base_url.")
    ] = None,
) -> None:
    """Prints the OpenAPI 3.1 document of the API, as a server gives it at /openapi.json.

    Example: coatcheck openapi > openapi.json
    """
    served = document(GROUPS, base_url=base_url or load().base_url, version=version("coatcheck"))
    show_json(json.loads(served))
