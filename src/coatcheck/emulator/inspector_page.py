"""The page at `/` of a sandbox: its requests, webhooks, members, tokens and clock, live.

The page contains no data. Its script asks the API for them, with the client's id and API key that the user enters. The
browser is never asked for credentials itself: it would send them with the requests of other sites too. So a page of
another site reads nothing, not even if its host name leads to this machine (DNS rebinding).
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from coatcheck.http.compression import COMPRESSED
from coatcheck.http.headers import Policy, page_headers

FOLDER = Path(__file__).parent / "inspector"
FILES = {"/": "inspector.html", "/inspector.css": "inspector.css", "/inspector.js": "inspector.js"}


def inspector_routes() -> list[Route]:
    return [_file(path, FOLDER / name) for path, name in FILES.items()]


def _file(path: str, file: Path) -> Route:
    async def serve(_request: Request) -> Response:
        return FileResponse(file, headers=page_headers(Policy.DOCUMENTATION, cache="no-cache"))

    return Route(path, serve, middleware=COMPRESSED)
