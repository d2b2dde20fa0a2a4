"""Calls the API of a running sandbox as its client, with the standard library: that is imported in an instant."""

import base64
import http
import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from coatcheck.cli import data_directory
from coatcheck.cli.data_directory import Credentials, ProcessorCredentials
from coatcheck.errors import (
    CoatcheckError,
    InvalidRequest,
    NotFound,
    OperatorError,
    SandboxNotRunning,
    Unprocessable,
)

FORM = "application/x-www-form-urlencoded"
TIMEOUT_SECONDS = 3600
"""Moving the clock by years takes minutes."""
REFUSALS: Mapping[int, type[CoatcheckError]] = MappingProxyType(
    {400: InvalidRequest, 404: NotFound, 422: Unprocessable}
)


def call(
    directory: Path,
    method: str,
    path: str,
    body: Any = None,
    *,
    processor: ProcessorCredentials | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Any:
    """Sends a request to the sandbox of the directory, and returns the JSON of its answer; None for 204.

    Args:
        directory: of the sandbox.
        method: the method.
        path: the path, with the query.
        body: sent as JSON; text is sent as a form.
        processor: who calls. None: the client.
        timeout_seconds: how long to wait for the answer.

    Raises:
        ConfigurationError: the directory is not that of a sandbox.
        SandboxNotRunning: no sandbox answers.
        InvalidRequest, NotFound, Unprocessable, OperatorError: it answers with another status than 2xx.
    """
    credentials = data_directory.find_credentials(directory)
    is_form = isinstance(body, str)
    caller = (
        (processor.processor_id, processor.api_key)
        if processor
        else (credentials.client_id, credentials.client_api_key)
    )
    request = Request(  # noqa: S310 (the address of the sandbox is http)
        f"{credentials.base_url}{path}",
        data=None if body is None else (body if is_form else json.dumps(body)).encode(),
        method=method,
        headers={"Authorization": _basic(*caller), "Content-Type": FORM if is_form else "application/json"},
    )
    try:
        # Not through the proxies of the environment: it is on this machine.
        with build_opener(ProxyHandler({})).open(request, timeout=timeout_seconds) as answer:
            return None if answer.status == http.HTTPStatus.NO_CONTENT else json.load(answer)
    except HTTPError as error:
        raise _refusal(error) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise not_running(credentials) from error


def not_running(credentials: Credentials) -> SandboxNotRunning:
    return SandboxNotRunning(
        f"No sandbox answers at {credentials.base_url}. Start it with `coatcheck sandbox --detach`, and the same"
        " --data-dir."
    )


def is_ready(address: str) -> bool:
    """Whether the server at the address is ready."""
    try:
        with build_opener(ProxyHandler({})).open(f"{address}/ready", timeout=2) as answer:
            return bool(answer.status == http.HTTPStatus.OK)
    # An answer such as 503 is an OSError too (HTTPError).
    except OSError:
        return False


def _basic(name: str, api_key: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{api_key}'.encode()).decode()}"


def _refusal(error: HTTPError) -> CoatcheckError:
    try:
        message = str(json.load(error)["error"]["message"])
    except (OSError, ValueError, KeyError, TypeError):
        message = f"The sandbox answered with the status {error.code}."
    return REFUSALS.get(error.code, OperatorError)(message)
