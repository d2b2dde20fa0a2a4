"""What the server says about itself."""

from functools import cache

from coatcheck.api.call import Call, Reply
from coatcheck.web.docs_page import STYLE, docs_page

PAGE_POLICY = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
)


async def health(call: Call) -> Reply:
    """200 when a request can be served: the database answered."""
    await call.connection.execute("SELECT 1")
    return Reply(200, b'{"status":"ok"}')
