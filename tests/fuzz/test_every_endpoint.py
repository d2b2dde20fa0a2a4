"""Generated requests to every endpoint of `/openapi.json`, by each kind of caller: no answer is a server error."""

import random
import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from coatcheck.app import Services
from tests.factories import make_account, make_client, make_processor, make_token, make_user
from tests.fuzz.live_server import LiveServer

EXAMPLES = 12
"""Requests to one endpoint by one caller, before the next."""
MAY_BE_UNAVAILABLE = {"/ready"}
"""503 is its answer where no worker runs."""
CALLERS = ("client", "processor", "token", "none")


async def make_world(services: Services) -> dict[str, Any]:
    """A caller of each kind, and the guids of objects that exist."""
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    return {
        "client": client.auth,
        "processor": processor.auth,
        "token": await make_token(services, account, processor),
        "guids": {
            "user": account.user_guid,
            "member": account.member_guid,
            "account": account.guid,
            "processor": processor.guid,
        },
    }


def existing(path: str, name: str, guids: Mapping[str, str]) -> str | None:
    """The guid for a path parameter such as `user` or `user_identifier`, or `guid` after `/users`."""
    before = path.partition(f"/{{{name}}}")[0].rpartition("/")[2]
    said = before if name == "guid" else name
    return next((guid for kind, guid in guids.items() if said.startswith(kind)), None)


def send(
    http: httpx.Client, case: schemathesis.Case, caller: str, world: Mapping[str, Any]
) -> httpx.Response:
    arguments = case.as_transport_kwargs(base_url=str(http.base_url))
    arguments.pop("cookies", None)
    arguments["headers"] = {
        name: value for name, value in arguments["headers"].items() if name.lower() != "authorization"
    }
    if caller == "token":
        arguments["headers"]["Authorization"] = f"Bearer {world['token']}"
    elif caller != "none":
        arguments["auth"] = world[caller]
    # A form is a mapping, every other body is text or bytes.
    body = arguments.pop("data", None)
    arguments["data" if isinstance(body, dict) else "content"] = body
    return http.request(**{name: value for name, value in arguments.items() if value is not None})


def fuzz(http: httpx.Client, operation: Any, caller: str, world: Mapping[str, Any]) -> int:
    """Sends generated requests to one endpoint. Returns how many."""
    count = 0

    @given(st.booleans(), operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    def answers(exists: bool, case: schemathesis.Case) -> None:
        nonlocal count
        for name in case.path_parameters or {}:
            if exists and (guid := existing(operation.path, name, world["guids"])):
                case.path_parameters[name] = guid
        # No worker reads the institution, so a request for younger data would wait and end in 503.
        (case.query or {}).pop("max_age", None)
        count += 1
        try:
            answer = send(http, case, caller, world)
        except httpx.LocalProtocolError:  # a header that httpx does not send
            reject()
        assert answer.status_code < 500, (caller, answer.text, case.as_curl_command())
        if not answer.is_success and not answer.is_redirect:
            assert answer.headers["content-type"].startswith(("application/json", "text/plain", "text/html"))

    answers()
    return count


# Schemathesis draws from `random` in a strategy.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_no_generated_request_is_a_server_error(live: LiveServer, seconds: float) -> None:
    document = httpx.get(f"{live.url}/openapi.json", timeout=60).json()
    operations = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
    work = [
        (operation, caller)
        for operation in operations
        if operation.path not in MAY_BE_UNAVAILABLE
        for caller in CALLERS
    ]
    order = random.Random(time.time_ns())
    end, count = time.monotonic() + seconds, 0
    with httpx.Client(base_url=live.url, timeout=30) as http:
        while time.monotonic() < end:
            world = live.run(make_world)
            order.shuffle(work)
            for operation, caller in work:
                if time.monotonic() >= end:
                    break
                count += fuzz(http, operation, caller, world)
    print(f"{count} requests")
    assert count > len(CALLERS)


HOSTILE_HEADERS = [
    ("Authorization", b"Basic \xff"),
    ("Authorization", b"Basic " + b"A" * 5000),
    ("Authorization", b"Bearer \xff\xfe"),
    ("Authorization", b"Basic Og=="),
    ("Authorization", b"Basic AAAAAA=="),
    ("Authorization", b"DPoP \x80"),
    ("Accept", b"\xff"),
    ("Accept", b";q=" + b"9" * 5000),
    ("Accept-Version", b"\xff"),
    ("Accept-Encoding", b"gzip;q=\xff"),
    ("Accept-Language", b"\xff-" * 1000),
    ("Content-Type", b"\xff"),
    ("Content-Length", b"0"),
    ("Cookie", b"coatcheck_window=\xff; __Host-x=\x80"),
    ("DPoP", b"\xff.\xff.\xff"),
    ("Idempotency-Key", b"\xff" * 300),
    ("X-Callback-Payload", b"\xff"),
    ("X-Widget-Session", b"cws_\xff"),
    ("X-Forwarded-For", b"\xff, 1"),
    ("Client-Cert", b":\xff:"),
    ("If-None-Match", b"\xff"),
    ("Range", b"bytes=9-1"),
    ("Sec-Fetch-Site", b"\xff"),
]
NUMBERS = [
    "1e999999999999",
    "-1e999999999999",
    "9" * 5000,
    "0.1e-99999",
    "NaN",
    "Infinity",
    "-0",
    "1E400",
    "true",
]
TEXTS = [
    "%00",
    "%ff",
    "%ed%a0%80",
    "9" * 5000,
    "..%2f..%2f",
    "%F0%9F%92%A9",
    "'",
    "%25",
    "+",
    "a" * 3000,
    "-1",
    "1e9",
]
BODIES = [
    b"[" * 100_000,
    b'{"user":' * 20_000,
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'"\\ud800"',
    b'{"user": {"id": "\\ud800"}}',
    b'{"user": {"id": "\\u0000"}}',
    b'{"user": {"metadata": "\\u0000"}}',
    b"null",
    b"{}",
    b"{",
    b"1" * 5000,
    b"",
]


def paths_of(live: LiveServer, guids: Mapping[str, str]) -> list[tuple[str, str]]:
    """The method and path of each endpoint, also of those that are not in the OpenAPI document."""
    document = httpx.get(f"{live.url}/openapi.json", timeout=60).json()
    known = [
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if method in {"get", "post", "put", "patch", "delete"} and path not in MAY_BE_UNAVAILABLE
    ]
    pages = [
        ("GET", "/md/connect/x"),
        ("GET", "/md/api/members"),
        ("POST", "/md/api/members"),
        ("GET", "/md/api/institutions"),
        ("GET", "/oauth/callback"),
        ("POST", "/oauth/callback"),
        ("GET", "/oauth/window/x"),
        ("GET", "/docs"),
        ("GET", "/"),
        ("GET", "/connect.js"),
    ]
    return [(method, _filled(path, guids)) for method, path in [*known, *pages]]


def _filled(path: str, guids: Mapping[str, str]) -> str:
    parts = (
        part if not part.startswith("{") else existing(path, part[1:-1], guids) or "x"
        for part in path.split("/")
    )
    return "/".join(parts)


@pytest.fixture(scope="module")
def world(live: LiveServer) -> dict[str, Any]:
    return live.run(make_world)


@pytest.fixture
def http(live: LiveServer) -> Any:
    with httpx.Client(base_url=live.url, timeout=30) as http:
        yield http


def test_no_header_is_a_server_error(live: LiveServer, world: dict[str, Any], http: httpx.Client) -> None:
    for method, path in paths_of(live, world["guids"]):
        if method == "DELETE":
            continue
        for name, value in HOSTILE_HEADERS:
            request = http.build_request(method, path, headers=[(name.encode(), value)])
            answer = http.send(request)
            assert answer.status_code < 500, (method, path, name, value[:20], answer.text)


def test_no_text_in_a_path_or_a_query_is_a_server_error(
    live: LiveServer, world: dict[str, Any], http: httpx.Client
) -> None:
    names = ("page", "records_per_page", "from_date", "search", "state", "code", "status", "type", "after")
    for method, path in paths_of(live, world["guids"]):
        if method != "GET":
            continue
        for text in TEXTS:
            query = "&".join(f"{name}={text}" for name in names[:3]) if len(text) > 1000 else ""
            query = query or "&".join(f"{name}={text}" for name in names)
            for url in (f"{path}?{query}", f"{path.rpartition('/')[0]}/{text}"):
                for auth in (world["client"], world["processor"]):
                    answer = http.get(url, auth=auth)
                    assert answer.status_code < 500, (url[:200], answer.text)


def test_no_body_is_a_server_error(live: LiveServer, world: dict[str, Any], http: httpx.Client) -> None:
    for method, path in paths_of(live, world["guids"]):
        if method not in {"POST", "PUT", "PATCH"}:
            continue
        for body in [*BODIES, *(f'{{"account": {{"balance": {each}}}}}'.encode() for each in NUMBERS)]:
            for kind in ("application/json", "application/x-www-form-urlencoded"):
                for auth in (world["client"], world["processor"]):
                    answer = http.request(
                        method, path, auth=auth, content=body, headers={"Content-Type": kind}
                    )
                    assert answer.status_code < 500, (method, path, body[:40], answer.text)


def test_no_number_of_an_account_is_a_server_error(world: dict[str, Any], http: httpx.Client) -> None:
    user = world["guids"]["user"]
    for number in NUMBERS:
        for field in ("balance", "available_balance", "credit_limit", "apr"):
            body = f'{{"account": {{"name": "x", "account_type": "SAVINGS", "{field}": {number}}}}}'
            answer = http.post(
                f"/users/{user}/accounts",
                auth=world["client"],
                content=body,
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code < 500, (field, number, answer.text)
