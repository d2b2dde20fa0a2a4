"""What the server's time of a request is spent on, by layer: python -m bench.layers PROFILE MICROSECONDS.

PROFILE is what `py-spy record --native --format raw` wrote while the server answered requests of one kind. MICROSECONDS
is its CPU time for a request, as `make bench` measures it.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

LAYERS = {
    "collection of garbage": r"^gc_collect",
    "signature of the receipt": r"grants/receipts|jose|[Ee]d25519",
    "opening sealed values": r"coatcheck/vault/|open_sealed",
    "psycopg, libpq": r"psycopg|libpq|db/connections",
    "coalescing, rows to records, pool": r"coatcheck/db/",
    "JSON and schemas": r"^JSONEncoder|api/schemas|http/(encoding|pagination)",
    "parameters of the request": r"urllib/parse|/query\.py|http/bodies",
    "credentials, hashes, parameters of the statement": (
        r"coatcheck/(grants|ids|audit|clock|crypto|model|events)|http/(authentication|sender_proofs)"
    ),
    "deadlines": r"asyncio/(timeouts|tasks)|coatcheck/deadline",
    "routing": r"starlette/(routing|_utils)",
    "limits before the router": r"http/(client_certificates|key_use|request_deadline|head_limits|throttling)",
    "request and response objects": r"starlette/|http/request\.py",
    "endpoint, handler, metrics": r"coatcheck/(http|api|metrics|tracing|request_context)",
    "uvicorn, httptools": r"uvicorn|httptools|llhttp",
    "event loop, sockets": "",
}
"""Patterns of frames. A sample belongs to the layer of its innermost frame that has one."""


def layer_of(stack: str) -> str:
    *named, rest = LAYERS
    for frame in reversed(stack.split(";")):
        for layer in named:
            if re.search(LAYERS[layer], frame):
                return layer
    return rest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", type=Path)
    parser.add_argument("microseconds", type=float)
    given = parser.parse_args()
    samples: Counter[str] = Counter()
    for line in given.profile.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        samples[layer_of(stack)] += int(count)
    table = Table("layer", "us")
    for layer in LAYERS:
        table.add_row(layer, f"{given.microseconds * samples[layer] / samples.total():.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
