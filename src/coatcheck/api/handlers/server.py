"""The server itself."""

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.server import HealthResponse, health_body


async def health(request: ApiRequest) -> HealthResponse:
    """Fails if the database does not answer."""
    await request.connection.execute("SELECT 1")
    return health_body()
