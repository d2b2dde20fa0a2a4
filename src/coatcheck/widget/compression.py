"""Answers, gzipped for whoever takes them so.

Compressing what is secret beside what a stranger chose would leak it bit by bit (BREACH). Nothing served here does
both: an answer to a question carries no secret, and the page that carries one is made once and echoes nothing.
"""

import gzip

from starlette.requests import Request
from starlette.responses import Response

SMALLEST = 1024
"""Bytes; below it gzip gains nothing."""


def takes_gzip(request: Request) -> bool:
    """RFC 9110 12.5.3: named, and not with a weight of nothing."""
    parts = (part.strip().lower() for part in request.headers.get("accept-encoding", "").split(","))
    return any(part.partition(";")[0] == "gzip" and not part.endswith(("q=0", "q=0.0")) for part in parts)


def compressed(request: Request, response: Response) -> Response:
    """The same response, smaller where that can be."""
    if len(response.body) >= SMALLEST:
        response.headers["Vary"] = "Accept-Encoding"
        if takes_gzip(request):
            response.body = gzip.compress(response.body, compresslevel=6, mtime=0)
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Content-Length"] = str(len(response.body))
    return response
