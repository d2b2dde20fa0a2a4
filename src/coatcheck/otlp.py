"""The export of traces. Imported only if traces are on: its libraries are optional and take 15 MB."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer


def exporting_tracer(process: str) -> Tracer:
    """A tracer whose spans go to the collector that the environment names (`OTEL_EXPORTER_OTLP_ENDPOINT`).

    `process` is `serve` or `work`; the service is `coatcheck-<process>` unless the environment gives another name.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": f"coatcheck-{process}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("coatcheck")
