"""Claims a setup token with simplefin4py, reads, and prints what it got (tests/e2e/test_simplefin_clients.py)."""

import asyncio
import json
import sys

from simplefin4py import SimpleFin
from simplefin4py.exceptions import SimpleFinAuthError, SimpleFinClaimError

GIVEN = json.load(sys.stdin)


async def main() -> dict[str, object]:
    access_url = GIVEN.get("access_url")
    if access_url is None:
        try:
            access_url = await SimpleFin.claim_setup_token(GIVEN["setup_token"])
        except SimpleFinClaimError:
            return {"error": "claim"}
    try:
        data = await SimpleFin(access_url).fetch_data()
    except SimpleFinAuthError:
        return {"error": "auth"}
    accounts = [
        {
            "id": each.id,
            "org": each.org.name,
            "balance": each.balance,
            "available_balance": each.available_balance,
            "possible_error": each.possible_error,
            "transactions": [[row.id, row.amount, row.posted.isoformat()] for row in each.transactions],
        }
        for each in data.accounts
    ]
    return {"access_url": access_url, "accounts": accounts, "errors": data.errors}


# The library prints an error before it raises it.
stdout, sys.stdout = sys.stdout, sys.stderr
found = asyncio.run(main())
stdout.write(json.dumps(found))
