"""Exports the log as lines of JSON that anyone can verify without this program (docs/reference/audit-log.md).

The whole log has each entry followed by the checkpoint that covers it. The log of one client has its entries with their
paths to the root of the last checkpoint, and nothing of other clients.
"""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from coatcheck.audit.checkpoints import INSTANT, parse, verifier_key
from coatcheck.audit.keys import LogKey
from coatcheck.audit.merkle import consistency_path, inclusion_path, levels_of, split
from coatcheck.audit.sealed_log import Rows, StoredCheckpoint, checkpoints
from coatcheck.db.database import Connection
from coatcheck.errors import NotFound

FORMAT = "coatcheck-audit-log-1"


async def export(connection: Connection, keys: Sequence[LogKey]) -> AsyncIterator[str]:
    """The whole sealed log, without what was written after the last checkpoint.

    Args:
        connection: the caller's transaction, REPEATABLE READ so that the log does not change meanwhile.
        keys: the keys of the log.
    """
    index, has_header = 0, False
    async with Rows(connection) as rows:
        row = await rows.next()
        async for stored in checkpoints(connection):
            if not has_header:
                yield _header(stored, keys)
                has_header = True
            # Not strict: the lists of an altered checkpoint can differ in length. `verify` names it.
            for number, leaf in zip(stored.numbers, split(stored.hashes), strict=False):
                while row is not None and row.number < number:
                    row = await rows.next()
                found = row if row is not None and row.number == number else None
                # A row that was pruned has its hash only.
                yield _line(
                    "entry", index=index, leaf_hash=leaf.hex(), **({"text": found.text} if found else {})
                )
                index += 1
            yield _line("checkpoint", note=stored.note)


async def export_client(
    connection: Connection, keys: Sequence[LogKey], client_guid: str, *, since: int | None = None
) -> AsyncIterator[str]:
    """The sealed entries and disclosures of one client, with proofs that they are in the log.

    Args:
        connection: the caller's transaction, as for `export`.
        keys: the keys of the log.
        client_guid: whose entries.
        since: the size of a checkpoint that the client saved, for a proof that the log still begins with it.

    Raises:
        NotFound: nothing is sealed yet, or the log has fewer entries than `since`.
    """
    leaves, index_of, last = await _tree(connection)
    # A client that saved a greater size has seen a log that this one does not continue.
    if last is None or (since is not None and not 0 < since <= len(leaves)):
        raise NotFound("The log has no such checkpoint yet.")
    yield _header(last, keys, client_guid=client_guid)
    levels = levels_of(leaves)
    async with Rows(connection, client_guid=client_guid) as rows:
        while (row := await rows.next()) is not None:
            index = index_of.get(row.number)
            if index is not None:
                path = [each.hex() for each in inclusion_path(levels, index)]
                yield _line("entry", index=index, leaf_hash=leaves[index].hex(), text=row.text, path=path)
    yield _line("checkpoint", note=last.note)
    if since is not None:
        path = [each.hex() for each in consistency_path(leaves, since)]
        yield _line("consistency", first=since, second=len(leaves), path=path)


async def _tree(
    connection: Connection,
) -> tuple[Sequence[bytes], dict[int, int], StoredCheckpoint | None]:
    """Every leaf hash, the index of each number, and the last checkpoint. A million entries take about 250 MB."""
    leaves: list[bytes] = []
    index_of: dict[int, int] = {}
    last = None
    async for last in checkpoints(connection):
        index_of.update((number, len(leaves) + position) for position, number in enumerate(last.numbers))
        leaves.extend(split(last.hashes))
    return leaves, index_of, last


def _header(stored: StoredCheckpoint, keys: Sequence[LogKey], client_guid: str | None = None) -> str:
    origin = parse(stored.note).origin
    return _line(
        "log",
        format=FORMAT,
        origin=origin,
        client_guid=client_guid,
        keys=[
            {
                "key": verifier_key(origin, key.public_key),
                "signs_from": f"{key.signs_from:{INSTANT}}",
                "replaced_at": f"{key.replaced_at:{INSTANT}}" if key.replaced_at else None,
            }
            for key in keys
        ],
    )


def _line(kind: str, **members: Any) -> str:
    return json.dumps({"type": kind, **members}, separators=(",", ":"), ensure_ascii=False)
