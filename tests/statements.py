"""A pytest plugin that records the SQL statements of the program, for `tests.explain`.

pytest -p tests.statements --statements=FILE

A statement is the program's if its caller is, not counting the driver and the functions of `db/database.py`.
"""

import inspect
import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

import coatcheck

PROGRAM = str(Path(coatcheck.__file__).parent)
PASSED_OVER = (str(Path(psycopg.__file__).parent), str(Path(PROGRAM) / "db" / "database.py"), __file__)
TYPES: Mapping[type, str] = {
    int: "bigint",
    bool: "boolean",
    bytes: "bytea",
    datetime: "timestamptz",
    date: "date",
    timedelta: "interval",
    Decimal: "numeric",
    float: "float8",
}
"""The type that the driver gives a parameter. Text has none, as in the driver."""

_recorded: dict[str, dict[str, str]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--statements", help="where to write the recorded statements")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--statements") is None:
        return
    execute = psycopg.AsyncCursor.execute

    async def recording(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
        if isinstance(query, str) and query not in _recorded and _caller().startswith(PROGRAM):
            named = params if isinstance(params, Mapping) else {}
            _recorded[query] = {name: _type(value) for name, value in named.items()}
        return await execute(self, query, params, **options)

    psycopg.AsyncCursor.execute = recording  # type: ignore[method-assign]


def pytest_unconfigure(config: pytest.Config) -> None:
    if (file := config.getoption("--statements")) is not None and _recorded:
        Path(file).write_text(json.dumps(_recorded))


def _caller() -> str:
    frame = inspect.currentframe()
    assert frame is not None
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PASSED_OVER):
        frame = frame.f_back
    return frame.f_code.co_filename


def _type(value: object) -> str:
    if isinstance(value, list):
        element = next((each for each in value if each is not None), "")
        return f"{TYPES.get(type(element), 'text')}[]"
    return TYPES.get(type(value), "")
