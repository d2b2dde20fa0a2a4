"""Traces for OpenTelemetry: one span for each request and each task of the worker. Off by default.

A span names the operation or the kind of task, and contains guids only: no path, query string, header, parameter or
message of an exception, because each can contain a secret or personal data.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from coatcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_tracer: "Tracer | None" = None


def start(process: str) -> None:
    """Exports the spans of this process, `serve` or `work`, as OpenTelemetry's environment variables say.

    Raises:
        ConfigurationError: the libraries are not installed.
    """
    try:
        exporter = import_module("coatcheck.otlp")
    except ModuleNotFoundError:
        raise ConfigurationError("Traces need libraries. Run `pip install 'coatcheck[tracing]'`.") from None
    use(exporter.exporting_tracer(process))


def use(tracer: "Tracer | None") -> None:
    """Creates spans with this tracer. None: creates none."""
    global _tracer  # noqa: PLW0603 (one tracer for the process, as in OpenTelemetry itself)
    _tracer = tracer


def span(name: str, attributes: Mapping[str, str]) -> AbstractContextManager["Span | None"]:
    """A span around the block, which can set more attributes. None if traces are off."""
    if _tracer is None:
        return nullcontext()
    return _tracer.start_as_current_span(
        name, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
    )
