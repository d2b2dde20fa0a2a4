"""The API's own description: an OpenAPI document for programs and a page for people, both made from the table."""

from functools import cache
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.api.docs_page import STYLE, docs_page
from coatcheck.api.openapi import document
from coatcheck.api.routes import ROUTES
from coatcheck.app import Services
from coatcheck.http.headers import Policy, page_headers

STYLE_URL = "/docs.css"
HEADERS = page_headers(Policy.DOCUMENTATION, cache=None)


def page_routes(services: Services) -> list[Route]:
    """`/openapi.json` and `/docs`; each is made when it is first asked for."""

    @cache
    def described() -> bytes:
        return document(ROUTES, base_url=services.settings.base_url, version=version("coatcheck"))

    @cache
    def printed() -> bytes:
        return docs_page(described(), style_url=STYLE_URL)

    async def openapi(_request: Request) -> Response:
        return Response(described(), media_type="application/json", headers=HEADERS)

    async def docs(_request: Request) -> Response:
        return Response(printed(), media_type="text/html", headers=HEADERS)

    async def style(_request: Request) -> Response:
        return Response(STYLE, media_type="text/css", headers=HEADERS)

    return [Route("/openapi.json", openapi), Route("/docs", docs), Route(STYLE_URL, style)]
