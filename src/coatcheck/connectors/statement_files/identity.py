"""The ids of transactions: equal for the same transaction in two files, and different for two transactions.

With an id of the bank, that id and the amount; some banks use an id twice, for different amounts. Without one, the
day, the amount and the text, and how many equal transactions of that day come before it in the file.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256

from coatcheck.connectors.statement_files.statement import FileTransaction


def with_ids(transactions: Sequence[FileTransaction]) -> Iterator[tuple[str, FileTransaction]]:
    """The transactions of one account in the order of the file, each with its id."""
    seen: Counter[str] = Counter()
    for each in transactions:
        amount = f"{each.amount.normalize():f}"
        # Some banks write a zero where they have no id.
        if each.bank_id and each.bank_id.strip("0 "):
            yield _digest("bank", each.bank_id, amount), each
            continue
        content = _digest("content", each.date.isoformat(), amount, each.reference or "", each.description)
        seen[content] += 1
        yield _digest(content, str(seen[content])), each


def _digest(*parts: str) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()[:32]
