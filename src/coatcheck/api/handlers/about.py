"""What the server says about itself."""

from coatcheck.api.request import Call, Reply


async def health(call: Call) -> Reply:
    """200 when a request can be served: the database answered."""
    await call.connection.execute("SELECT 1")
    return Reply(200, b'{"status":"ok"}')
