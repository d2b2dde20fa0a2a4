"""What the server says about itself."""

from coatcheck.api.request import ApiRequest, ApiResponse


async def health(request: ApiRequest) -> ApiResponse:
    """200 when a request can be served: the database answered."""
    await request.connection.execute("SELECT 1")
    return ApiResponse(200, b'{"status":"ok"}')
