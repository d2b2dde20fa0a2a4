"""`coatcheck listen`: shows the events of a running sandbox as they are announced, and forwards them."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import typer

from coatcheck import clock, config
from coatcheck.cli import data_directory, sandbox_api
from coatcheck.cli.console import AsJson, err, out
from coatcheck.cli.data_directory import OfSandbox
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.events import catalogue, signing

PATH = "/coatcheck/events"
EVER = "1970-01-01T00:00:00Z"
PAUSE_SECONDS = 0.5
PAGE = 1000
TIMEOUT_SECONDS = 15
COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "token": "magenta",
        "code": "magenta",
        "consent": "magenta",
        "connection": "yellow",
        "member": "cyan",
        "user": "cyan",
    }
)
"""By the group of the type; blue for the others."""


def listen(
    forward_to: Annotated[
        str | None, typer.Option(help="Post every event to this URL, signed as a webhook.")
    ] = None,
    events: Annotated[
        str, typer.Option(help="Only these types, separated by commas, such as token.*,member.created.")
    ] = "*",
    limit: Annotated[int, typer.Option(min=0, help="Stop after so many events. 0: never.")] = 0,
    data_dir: OfSandbox = data_directory.DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Shows the events of the client of a running sandbox as they are announced, until Ctrl-C.

    With --forward-to, posts each to a URL and shows the status of the answer. An event is posted once.

    Example: coatcheck listen --forward-to http://localhost:3000/webhooks --events 'token.*'
    """
    if forward_to is not None and not config.is_url(forward_to):
        raise typer.BadParameter("--forward-to must be an http or https URL.")
    patterns = _patterns(events)
    directory = data_directory.resolve(data_dir)
    secret = signing.new_secret() if forward_to else None
    newest = sandbox_api.call(directory, "GET", PATH)["events"]
    last = newest[0] if newest else None
    err.print("Listening. Stop with Ctrl-C.", style="bold")
    if secret:
        err.print(f"Signing secret: {secret}", markup=False)
    count = 0
    for event in _announced(directory, last):
        if not catalogue.is_subscribed(patterns, event["type"]):
            continue
        status = _forward(forward_to, secret, event) if forward_to and secret else None
        _show(event, status, as_json=as_json)
        count += 1
        if count == limit:
            return


def _announced(directory: Path, last: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """Every event after this one, as soon as it is announced."""
    while True:
        try:
            found = _after(directory, last["guid"] if last else EVER)
        except NotFound:
            # Nothing was announced while the clock moved past the time for which events are kept.
            found = _after(directory, last["occurred_at"] if last else EVER)
        for event in found:
            last = event
            yield event
        if len(found) < PAGE:
            time.sleep(PAUSE_SECONDS)


def _after(directory: Path, after: str) -> Sequence[Mapping[str, Any]]:
    """The first page of the events after one, by its guid, or after an instant."""
    query = urlencode({"after": after, "records_per_page": PAGE})
    events: Sequence[Mapping[str, Any]] = sandbox_api.call(directory, "GET", f"{PATH}?{query}")["events"]
    return events


def _patterns(events: str) -> Sequence[str]:
    patterns, known = [each.strip() for each in events.split(",")], catalogue.patterns(is_processor=False)
    for each in patterns:
        if each not in known:
            raise InvalidRequest(f"--events: {each!r} is none of {', '.join(known)}.")
    return patterns


class _NoRedirect(HTTPRedirectHandler):
    """A redirect is an answer like any other, as for webhooks."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def _forward(url: str, secret: str, event: Mapping[str, Any]) -> str:
    """Posts the event. Returns the status of the answer, or why there was none."""
    body = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    headers = signing.signature_headers([secret], event["guid"], body, clock.SystemClock().now())
    request = Request(  # noqa: S310 (the scheme is checked)
        url, body.encode(), {**headers, "content-type": "application/json; charset=utf-8"}, method="POST"
    )
    try:
        with build_opener(ProxyHandler({}), _NoRedirect).open(request, timeout=TIMEOUT_SECONDS) as answer:
            return str(answer.status)
    except HTTPError as error:
        return str(error.code)
    except OSError as error:
        return type(error).__name__


def _show(event: Mapping[str, Any], status: str | None, *, as_json: bool) -> None:
    if as_json:
        # A line each, so that a script can read them as they come.
        out.print(json.dumps({**event, "answer": status}, ensure_ascii=False), markup=False)
        return
    colour = COLOURS.get(event["type"].partition(".")[0], "blue")
    answer = "" if status is None else f"  [{'green' if status.startswith('2') else 'red'}]{status}[/]"
    time_ = event["occurred_at"][11:19]
    out.print(f"{time_}  [{colour}]{event['type']:<26}[/]{event['object']}  {event['sequence']}{answer}")
