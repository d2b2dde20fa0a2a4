"""The page's own files, read once, under an address that changes with any of them."""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from posixpath import normpath

from starlette.requests import Request
from starlette.responses import Response

from coatcheck.widget.compression import takes_gzip

PREFIX = "/md/static"
LOADER, ENTRY = "connect.js", "widget.js"
IMPORT = re.compile(rb'^import .* from "(\..+?)";$', re.MULTILINE)
FOREVER, SHORTLY = "public, max-age=31536000, immutable", "public, max-age=300"
TYPES: Mapping[str, str] = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""As they must be, whatever the machine's own table says."""


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    gzipped: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Statics:
    files: Mapping[str, File]
    """By their path below `static/`."""
    base: str
    """Where they are served."""

    @property
    def modules(self) -> list[str]:
        """The addresses of the scripts that the page begins with, so that none waits for another to be read."""
        found, unread = set[str](), {ENTRY} & self.files.keys()
        while unread:
            found |= unread
            unread = {named for name in unread for named in self._imports(name)} - found
        return [f"{self.base}/{name}" for name in sorted(found)]

    def _imports(self, name: str) -> set[str]:
        """What a script names at its head; what it fetches later, by `import()`, can wait."""
        paths = IMPORT.findall(self.files[name].content)
        return {normpath(PurePosixPath(name).parent / path.decode()) for path in paths} & self.files.keys()

    async def serve(self, request: Request) -> Response:
        """One of the files, for as long as nobody changes any."""
        name = request.path_params["file"]
        file = self.files.get(name)
        if file is None or name == LOADER or request.path_params["hash"] != self.base.rpartition("/")[2]:
            return Response(status_code=404, headers={"Cache-Control": "no-store"})
        return _response(request, file, FOREVER)

    async def serve_loader(self, request: Request) -> Response:
        file = self.files.get(LOADER)
        return _response(request, file, SHORTLY) if file else Response(status_code=404)


@cache
def statics() -> Statics:
    """What the package holds."""
    return read(Path(str(files("coatcheck.widget"))) / "static")


def read(folder: Path) -> Statics:
    """What a folder holds."""
    contents = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name} {len(content)} ".encode() + content)
    return Statics(
        files={name: _file(name, content) for name, content in contents.items()},
        base=f"{PREFIX}/{digest.hexdigest()[:16]}",
    )


def _file(name: str, content: bytes) -> File:
    suffix = PurePosixPath(name).suffix
    guessed = TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return File(content, gzip.compress(content, mtime=0), guessed)


def _response(request: Request, file: File, lifetime: str) -> Response:
    headers = {
        "Cache-Control": lifetime,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if not takes_gzip(request):
        return Response(file.content, media_type=file.media_type, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(file.gzipped, media_type=file.media_type, headers=headers)
