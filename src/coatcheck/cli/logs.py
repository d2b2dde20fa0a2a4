"""Structured log lines on standard error, without secrets.

No code of this package logs a secret. `redact` is the second protection: every line, also of the libraries, passes it.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from coatcheck.grants.secrets import Kind

__all__ = ["configure", "get_logger", "redact"]

get_logger = structlog.get_logger

HIDDEN = "[hidden]"
SECRET_NAMES = frozenset(
    {
        "access_token", "account_number", "answer", "answers", "api_key", "authorization", "body", "code",
        "code_verifier", "cookie", "credential", "credentials", "database_url", "iban", "master_key",
        "password", "proxy_authorization", "refresh_token", "routing_number", "secret", "set_cookie", "token",
        "value", "webhook_secret",
    }
)  # fmt: skip
SHAPES = re.compile(
    r"""
    (?P<guid> \b (?:[A-Z]{2,4}-)? [0-9a-f]{8} (?:-[0-9a-f]{4}){3} -[0-9a-f]{12} \b )
    | \b (?:GENERATED)_ [0-9A-Za-z]+          # secrets that `grants` generates
    | (?P<scheme> \b (?:Basic|Bearer) \s+ ) [\w.~+/=-]+
    | (?P<user> :// [^\s/:@]* : ) [^\s/@]+ (?=@)   # the password of a URL
    | \d{9,}                                  # account, routing and card numbers
    """.replace("GENERATED", "|".join(Kind)),
    re.VERBOSE,
)
MAX_COUNT = 10**8 - 1
"""A larger whole number could be an account number."""


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Sends every log line of this process to `stream` (by default standard error), in the form `json` or `console`."""
    stream = stream or sys.stderr
    threshold = getattr(logging, level)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    render = _renderer(form, stream)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    # Libraries log unknown data at DEBUG, so they never log below INFO.
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.INFO), force=True)
    for name in ("httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hides each value that has the name of a secret, and each text that has the form of one."""
    return {
        name: value if name.startswith("_") else _redact_value(name, value) for name, value in event.items()
    }


def _redact_value(name: str, value: Any) -> Any:
    if name.lower().replace("-", "_") in SECRET_NAMES and value is not None:
        return HIDDEN
    if isinstance(value, Mapping):
        return {_redact_text(str(key)): _redact_value(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value("", item) for item in value]
    if isinstance(value, int):
        return value if abs(value) <= MAX_COUNT else HIDDEN
    if value is None or isinstance(value, float):
        return value
    return HIDDEN if isinstance(value, bytes | bytearray) else _redact_text(str(value))


def _redact_text(text: str) -> str:
    return SHAPES.sub(
        lambda match: match["guid"] or f"{match['scheme'] or match['user'] or ''}{HIDDEN}", text
    )
