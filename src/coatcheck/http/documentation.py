"""Serves the OpenAPI document and the HTML reference of the API, both generated from the route tables."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.app import Services
from coatcheck.http.compression import COMPRESSED
from coatcheck.http.docs_page import SCRIPT, STYLE, docs_page
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.openapi import AnyGroup, document

STYLE_URL, SCRIPT_URL = "/docs.css", "/docs.js"
HEADERS = page_headers(Policy.DOCUMENTATION, cache=None)


def page_routes(services: Services, groups: Sequence[AnyGroup]) -> list[Route]:
    """`/openapi.json` and `/docs` of the groups of all surfaces; each is generated at its first request."""

    @cache
    def openapi_document() -> bytes:
        return document(groups, base_url=services.settings.base_url, version=version("coatcheck"))

    @cache
    def reference_page() -> bytes:
        return docs_page(openapi_document(), style_url=STYLE_URL, script_url=SCRIPT_URL)

    async def openapi(_request: Request) -> Response:
        return Response(openapi_document(), media_type="application/json", headers=HEADERS)

    async def docs(_request: Request) -> Response:
        return Response(reference_page(), media_type="text/html", headers=HEADERS)

    async def style(_request: Request) -> Response:
        return Response(STYLE, media_type="text/css", headers=HEADERS)

    async def script(_request: Request) -> Response:
        return Response(SCRIPT, media_type="text/javascript", headers=HEADERS)

    served = {"/openapi.json": openapi, "/docs": docs, STYLE_URL: style, SCRIPT_URL: script}
    return [Route(path, endpoint, middleware=COMPRESSED) for path, endpoint in served.items()]
