"""Traces: one span for each request and each task, which contain no secret and no personal data."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coatcheck import tracing
from coatcheck.app import Services
from coatcheck.jobs.runner import TaskRunner
from coatcheck.jobs.tasks import ClaimedTask, TaskKind
from coatcheck.server import create_app
from tests.factories import make_account, make_client, make_code, make_processor, make_user


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider.get_tracer("test"))
    yield exporter
    tracing.use(None)


def content_of(span: ReadableSpan) -> str:
    return f"{span.name} {dict(span.attributes or {})} {span.events} {span.status.description}"


async def test_a_request_has_one_span_with_its_operation_id_and_status(
    services: Services, spans: InMemorySpanExporter
) -> None:
    client = await make_client(services)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(services)), base_url="http://test"
    ) as http:
        answer = await http.get("/users/USR-1/members", auth=client.auth)
    [span] = spans.get_finished_spans()
    assert span.name == "api listMembers"
    assert span.attributes == {
        "request_id": answer.headers["x-request-id"],
        "http.response.status_code": 404,
    }


async def test_a_span_of_an_exchange_contains_no_code_and_no_key(
    services: Services, spans: InMemorySpanExporter
) -> None:
    client = await make_client(services)
    processor = await make_processor(services, client)
    code = await make_code(services, await make_account(services, await make_user(services, client)))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(services)), base_url="http://test"
    ) as http:
        await http.post(f"/token?grant_type=authorization_code&code={code}", auth=processor.auth)
    [span] = spans.get_finished_spans()
    text = content_of(span)
    assert "200" in text
    for secret in (code, processor.api_key):
        assert secret not in text


async def test_a_task_that_fails_has_a_span_without_the_message(spans: InMemorySpanExporter) -> None:
    stop = asyncio.Event()

    async def fail() -> None:
        stop.set()
        raise ValueError("cct_secret")

    async def claim(_limit: int) -> list[ClaimedTask]:
        return [] if stop.is_set() else [fail]

    await TaskRunner({TaskKind.DELIVERY: claim}, slots=1).run(stop, timedelta(seconds=1))
    [span] = spans.get_finished_spans()
    assert span.name == "task delivery"
    assert "cct_secret" not in content_of(span)


async def test_without_a_tracer_no_span_is_created() -> None:
    with tracing.span("anything", {}) as span:
        assert span is None
