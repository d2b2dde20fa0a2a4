"""Files of a package: one at a fixed path, or a folder below a path that changes with its content."""

import hashlib
import mimetypes
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from coatcheck.http.compression import COMPRESSED

IMMUTABLE = "public, max-age=31536000, immutable"

# Python before 3.12, and a machine's own table, may name another type for modules.
mimetypes.add_type("text/javascript", ".js")


def file_route(path: str, file: Path, *, max_age: int) -> Route:
    """A file at a fixed path; browsers keep it for `max_age` seconds."""

    async def serve(_request: Request) -> Response:
        return FileResponse(file, headers=_headers(f"public, max-age={max_age}"))

    return Route(path, serve, middleware=COMPRESSED)


class StaticFolder:
    """A folder below `<prefix>/<digest of all its files>`, where browsers keep each file for a year."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = folder
        self.base = f"{prefix}/{_digest(folder)}"
        self._files = StaticFiles(directory=folder)

    def route(self) -> Route:
        return Route(f"{self.base}/{{path:path}}", self._serve, middleware=COMPRESSED)

    async def _serve(self, request: Request) -> Response:
        try:
            response = await self._files.get_response(request.path_params["path"], request.scope)
        except HTTPException as error:
            # Not kept: after a deployment, the file of another version may be there.
            return Response(status_code=error.status_code, headers={"Cache-Control": "no-store"})
        response.headers.update(_headers(IMMUTABLE))
        for unused in ("ETag", "Last-Modified", "Accept-Ranges"):
            # An immutable file is never validated again, and no browser asks for a part of a script.
            del response.headers[unused]
        return response


def _headers(cache: str) -> dict[str, str]:
    return {
        "Cache-Control": cache,
        # Clients' pages load the script of the widget. One with COEP `require-corp` takes only what permits it.
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }


def _digest(folder: Path) -> str:
    # The name and the length of each file are included, so that two different folders never have the same input.
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]
