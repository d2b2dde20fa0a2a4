"""How a process speaks to its operator: structured lines on standard error that never hold a secret.

No code of ours logs a secret; this is the second lock. Every line, of ours and of the libraries, passes `redact`.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from coatcheck.grants.secrets import Kind

__all__ = ["configure", "redact"]

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
    | \b (?:MINTED)_ [0-9A-Za-z]+             # whatever our mint made
    | (?P<scheme> \b (?:Basic|Bearer) \s+ ) [\w.~+/=-]+
    | (?P<user> :// [^\s/:@]* : ) [^\s/@]+ (?=@)   # the password of a URL
    | \d{9,}                                  # account, routing and card numbers
    """.replace("MINTED", "|".join(Kind)),
    re.VERBOSE,
)
LONGEST_COUNT = 10**8 - 1
"""A larger whole number could be an account number."""


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Sends every log line of this process to `stream` (standard error), as `json` or for the `console`."""
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
    # What others say at DEBUG we do not know, so that nobody asks them.
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.INFO), force=True)
    for chatty in ("httpx", "httpcore", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hides values under a secret's name and, anywhere, what has a secret's shape."""
    return {name: value if name.startswith("_") else _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: Any) -> Any:
    if name.lower().replace("-", "_") in SECRET_NAMES and value is not None:
        return HIDDEN
    if isinstance(value, Mapping):
        return {_clean(str(key)): _shown(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown("", item) for item in value]
    if isinstance(value, int):
        return value if abs(value) <= LONGEST_COUNT else HIDDEN
    if value is None or isinstance(value, float):
        return value
    return HIDDEN if isinstance(value, bytes | bytearray) else _clean(str(value))


def _clean(text: str) -> str:
    return SHAPES.sub(
        lambda found: found["guid"] or f"{found['scheme'] or found['user'] or ''}{HIDDEN}", text
    )
