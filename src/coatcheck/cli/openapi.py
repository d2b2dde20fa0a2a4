"""`coatcheck openapi`: the OpenAPI document of this version, without a server."""

import json
from importlib.metadata import version
from typing import Annotated, Any

import typer

from coatcheck import server
from coatcheck.cli.console import print_json
from coatcheck.cli.settings import load_settings
from coatcheck.http import openapi as document


def openapi(
    base_url: Annotated[
        str | None, typer.Option(help="The address of the server, instead of the setting base_url.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The default: the document is JSON.")] = True,  # noqa: ARG001
) -> None:
    """Prints the OpenAPI 3.1 document of the API, as a server returns it at /openapi.json.

    Example: coatcheck openapi > openapi.json
    """
    overrides: dict[str, Any] = {} if base_url is None else {"base_url": base_url}
    settings = load_settings(**overrides)
    served = document.document(server.GROUPS, base_url=settings.base_url, version=version("coatcheck"))
    print_json(json.loads(served))
