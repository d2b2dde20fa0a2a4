"""Rows as a JSON array, for statements that read thousands of them with `json_populate_recordset`."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


def encode_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Decimals and times become strings that PostgreSQL reads exactly. `json.dumps` takes ten times as long."""
    return msgspec.json.encode(rows).decode()
