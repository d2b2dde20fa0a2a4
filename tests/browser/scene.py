"""A client's app on one origin, Coatcheck on another, a worker, and a browser."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from string import Template
from typing import Any

from playwright.async_api import Browser, BrowserContext, Frame, Locator, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request as AppRequest
from starlette.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from coatcheck.app import Services
from coatcheck.http.listening import listen
from coatcheck.server import create_app, serve
from tests.api_client import Api, work
from tests.member_setup import until
from tests.widget_client import link

HERE = Path(__file__).parent
SDK = HERE / "node_modules" / "@mxenabled" / "web-widget-sdk" / "dist" / "umd" / "index.js"
GRACE = 1
"""Seconds for running requests when a server stops."""
POLL_SECONDS = 0.05
"""Between two polls of the worker."""
WEB_VIEW = """
  window.navigations = [];
  navigation.addEventListener("navigate", (event) => {
    if (/^https?:/.test(event.destination.url)) return;
    event.preventDefault();
    window.navigations.push(event.destination.url);
  });
"""
"""What a mobile app does around its web view: it intercepts navigations to its own scheme."""
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Waits for two frames. Before, a browser can send a click on a cross-origin frame to the page around it."""
PHONE, DESKTOP = {"width": 390, "height": 760}, {"width": 1000, "height": 760}

CONTEXT: Mapping[str, Any] = {"viewport": DESKTOP, "reduced_motion": "reduce"}
"""Of every window. Animations use a lot of CPU without a graphics card."""
WINDOWS = 4
"""Browser windows at the same time. Most of the time a window waits for the next poll of its page."""

expect.set_options(timeout=30_000)


@dataclass
class Site:
    """An ASGI app on a port of its own, which can be stopped and started again."""

    port: int
    host: str = "127.0.0.1"
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _task: "asyncio.Task[None] | None" = None

    @property
    def origin(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self, app: ASGIApp) -> None:
        self._stop = asyncio.Event()
        bound = listen("127.0.0.1", self.port)
        self._task = asyncio.create_task(serve(app, bound, self._stop, grace=timedelta(seconds=GRACE)))

    async def stop(self) -> None:
        if self._task is not None:
            self._stop.set()
            await self._task
            self._task = None


@dataclass
class Scene:
    """A client's user, with the client's app in a browser."""

    api: Api
    user: str
    server: Site
    app: Site
    context: BrowserContext
    requested: list[str] = field(default_factory=list)
    """Every URL that the browser requested."""
    page: Page | None = None
    """The page that every widget reuses. Without it each widget has a new page, which is slower."""
    worker_may_run: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the worker runs jobs; `pause_worker` clears it."""
    work_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the worker while it runs jobs."""

    @property
    def services(self) -> Services:
        return self.api.services

    async def embed(self, way: str = "sdkUrl", **options: Any) -> "Embedded":
        """The widget in a frame of the app's page, embedded in one of the ways of MX's clients."""
        page = self.page or await self.context.new_page()
        await page.goto(self.app.origin)
        parameters = (
            [f"{self.app.origin}/widget_url", options]
            if way == "sdkProxy"
            else [await link(self.api, self.user, **options)]
        )
        await page.evaluate(f"(parameters) => embed({json.dumps(way)}, ...parameters)", parameters)
        element = await page.wait_for_selector("iframe")
        frame = await element.content_frame()
        assert frame is not None
        await frame.wait_for_selector("h1:not(.loading)")
        for each in (frame, page):
            await each.evaluate(DRAWN)
        return Embedded(self, page, frame)

    async def open(self, **options: Any) -> "Embedded":
        """The widget by itself, as a window or a mobile app's web view has it."""
        page = await self.context.new_page()
        await page.add_init_script(WEB_VIEW)
        await page.goto(await link(self.api, self.user, **options), wait_until="commit")
        return Embedded(self, page, page.main_frame)

    async def at_bank(self, login: str, password: str, bank: str = "mxbank", **options: Any) -> "Embedded":
        """The widget of a user who agreed and signed in, without a search."""
        widget = await self.embed("frame", current_institution_code=bank, **options)
        await widget.agree()
        await widget.sign_in(login, password)
        return widget

    async def member(self, login: str = "mxuser", password: str = "correct", **member: Any) -> str:
        """The guid of an existing member, once it has a result or a challenge."""
        guid = await self.api.connect(self.user, login=login, password=password, **member)

        async def is_read() -> bool:
            seen = (await self.api.get(f"/users/{self.user}/members/{guid}")).json()["member"]
            return not seen["is_being_aggregated"] or seen["connection_status"] == "CHALLENGED"

        await until(is_read)
        return guid

    async def work(self) -> None:
        """Runs this client's jobs as they come."""
        while True:
            await self.worker_may_run.wait()
            async with self.work_lock:
                await work(self.services)
            await asyncio.sleep(POLL_SECONDS)

    async def pause_worker(self) -> None:
        """Waits until the worker is idle; it stays idle until `worker_may_run` is set."""
        self.worker_may_run.clear()
        async with self.work_lock:
            pass

    def foreign(self) -> list[str]:
        """The requested URLs that are neither the app's nor ours."""
        ours = (self.app.origin, self.server.origin, "data:", "about:", "blob:")
        return [url for url in self.requested if not url.startswith(ours)]


@dataclass(frozen=True)
class Embedded:
    """The widget as its user sees it."""

    scene: Scene
    page: Page
    """The one around it, or its own."""
    frame: Frame

    def heading(self, text: str) -> Locator:
        return self.frame.get_by_role("heading", level=1, name=text)

    async def sees(self, title: str) -> None:
        """Waits for the screen with this title."""
        await expect(self.heading(title)).to_be_visible()

    async def press(self, name: str) -> None:
        await self.frame.get_by_role("button", name=name, exact=True).click()

    async def agree(self) -> None:
        """Agrees if the widget asks for it: who connected a bank before is not asked for the same again."""
        await self.frame.wait_for_selector("h1:not(.loading)")
        if await self.frame.get_by_role("button", name="Agree and continue").count():
            await self.press("Agree and continue")

    async def choose(self, bank: str) -> None:
        await self.search(bank)
        await self.frame.get_by_role("list").get_by_role("button", name=bank).first.click()

    async def search(self, text: str) -> None:
        """Waits for the results of this text: a click on those before could meet a row that is just replaced."""
        await self.frame.get_by_role("searchbox").fill(text)
        await self.has_found()

    async def has_found(self) -> None:
        """Waits until the list has the results of what is typed."""
        await expect(self.frame.get_by_role("list")).to_have_attribute("aria-busy", "false")

    async def sign_in(self, login: str = "mxuser", password: str = "correct") -> None:
        await self.frame.get_by_label("Username").fill(login)
        await self.frame.get_by_label("Password", exact=True).fill(password)
        await self.press("Continue")

    async def connect(
        self, login: str = "mxuser", password: str = "correct", *, bank: str = "MX Bank"
    ) -> None:
        """Consent, search and sign-in."""
        await self.agree()
        await self.choose(bank)
        await self.sign_in(login, password)

    async def answer(self, text: str) -> None:
        """Answers a text challenge."""
        await self.sees("Verify your identity")
        await self.frame.get_by_role("main").get_by_role("textbox").fill(text)
        await self.press("Continue")

    async def select(self, account: str = "Checking") -> None:
        """Picks the account that is to be verified."""
        await self.frame.get_by_role("radio", name=account).first.check()
        await self.press("Continue")

    async def messages(self) -> list[dict[str, Any]]:
        """The messages that the page around it got, in order."""
        await self._arrived()
        return list(await self.page.evaluate("received"))

    async def decoded(self) -> list[dict[str, Any]]:
        """The messages as MX's SDK, or the loader, decoded them."""
        await self._arrived()
        return list(await self.page.evaluate("decoded"))

    async def undecoded(self) -> list[dict[str, Any]]:
        await self._arrived()
        return list(await self.page.evaluate("undecoded"))

    async def posted(self, event: str) -> list[dict[str, Any]]:
        """The metadata of each message with this event."""
        return [each["metadata"] for each in await self.messages() if each["type"] == f"mx/connect/{event}"]

    async def offers(self) -> list[str]:
        """The buttons below the text, in order."""
        offered = await self.frame.locator("main .actions .button").all_inner_texts()
        return [text.removesuffix("\n(opens in a new window)") for text in offered]

    async def _arrived(self) -> None:
        """Waits until all messages of the widget have arrived, by sending another one: they arrive in order."""
        mark = secrets.token_hex(4)
        await self.frame.evaluate("(mark) => parent.postMessage({ mark }, '*')", mark)
        await self.page.wait_for_function("(mark) => marks.includes(mark)", arg=mark, polling=20)

    async def types(self) -> list[str]:
        return [message["type"].removeprefix("mx/") for message in await self.messages()]


async def side_by_side(
    scene: Scene, play: Callable[..., Awaitable[None]], rows: Iterable[Sequence[Any]]
) -> None:
    """Runs a table's rows, a few at a time, each with a widget of its own; a failure names its row.

    Not in tabs of one window: a browser draws those that are not in front once a second.
    """
    remaining = iter(rows)
    assert scene.context.browser is not None
    # Firefox fails if it opens two windows at the same time.
    windows = 1 if scene.context.browser.browser_type.name == "firefox" else WINDOWS

    async def run_rows() -> None:
        async with window(scene) as own:
            own.page = await own.context.new_page()
            for row in remaining:
                try:
                    await play(own, *row)
                except Exception as error:
                    error.add_note(f"The row: {row}")
                    raise

    async with asyncio.TaskGroup() as group:
        for _ in range(windows):
            group.create_task(run_rows())


async def finish(window: Page, button: str) -> None:
    """Presses a button after which the widget closes this window, perhaps while the next page is on its way."""
    await window.get_by_role("button", name=button).click(no_wait_after=True)


@asynccontextmanager
async def window(scene: Scene, **context: Any) -> AsyncIterator[Scene]:
    """The same scene with another browser window."""
    assert scene.context.browser is not None
    made = await scene.context.browser.new_context(**(CONTEXT | context))
    made.on("request", lambda request: scene.requested.append(request.url))
    try:
        yield replace(scene, context=made)
    finally:
        await made.close()


@asynccontextmanager
async def open_scene(
    services: Services, api: Api, server: Site, app: Site, browser: Browser, **context: Any
) -> AsyncIterator[Scene]:
    server.start(create_app(services))
    made = await browser.new_context(**(CONTEXT | context))
    one = Scene(api, await api.create_user(), server, app, made)
    made.on("request", lambda request: one.requested.append(request.url))
    app.start(client_app(one))
    one.worker_may_run.set()
    worker = asyncio.create_task(one.work())
    try:
        yield one
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await asyncio.gather(made.close(), server.stop(), app.stop())


def client_app(one: Scene) -> Starlette:
    """The client's own server: a page with its scripts, and the proxy for MX's SDK."""
    page = Template((HERE / "app.html").read_text()).substitute(
        sdk="/sdk.js", loader=f"{one.server.origin}/connect.js"
    )

    async def show(_: AppRequest) -> HTMLResponse:
        return HTMLResponse(page)

    async def sdk(_: AppRequest) -> FileResponse:
        return FileResponse(SDK, media_type="text/javascript")

    async def widget_url(request: AppRequest) -> JSONResponse:
        body: Mapping[str, Any] = await request.json()
        answer = await one.api.post(f"/users/{one.user}/widget_urls", json=body)
        return JSONResponse(answer.json(), answer.status_code)

    return Starlette(
        routes=[Route("/", show), Route("/sdk.js", sdk), Route("/widget_url", widget_url, methods=["POST"])]
    )


@asynccontextmanager
async def own_page(services: Services, server: Site, browser: Browser, path: str) -> AsyncIterator[Page]:
    """A page of the server's own, opened. At the end: it requested nothing of another host, and its policy refused
    nothing.
    """
    server.start(create_app(services))
    context = await browser.new_context(**CONTEXT)
    page = await context.new_page()
    requested: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: refused.append(message.text) if "Policy" in message.text else None)
    await page.goto(f"{server.origin}{path}", wait_until="commit")
    # With its styles, and after its modules have run.
    await page.wait_for_load_state()
    yield page
    assert [url for url in requested if not url.startswith(server.origin)] == []
    assert refused == []
    await context.close()
    await server.stop()
