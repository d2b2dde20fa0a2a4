"""The request that the current task answers, for what is written on its behalf: disclosures, audit entries, logs."""

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["NO_REQUEST", "RequestContext", "current_request"]


@dataclass(frozen=True, slots=True)
class RequestContext:
    request_id: str
    """A guid that the caller gets in `X-Request-Id`. Disclosures, audit entries and logs name it."""
    address: str | None
    """The address of the caller: of the connection, or what a trusted proxy forwarded."""


NO_REQUEST = RequestContext("", None)
"""In jobs and commands."""

current_request: ContextVar[RequestContext] = ContextVar("current_request", default=NO_REQUEST)
"""Set by `http.endpoint` for each request. A task keeps its own value."""
