"""The baseline of the benchmark: a bare Starlette handler around the same coalesced statements as Coatcheck's.

It reads no API version, checks the form of no credential and writes no error body. It computes the hashes that the
statement needs, spends the time of the decryptions and of the signature, and answers with the same fields.
"""

import hmac
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uuid_utils import uuid7

from coatcheck.audit.entries import draft
from coatcheck.db.coalescing import Coalescer
from coatcheck.db.database import Database
from coatcheck.grants.access_statements import numbers_statement
from coatcheck.grants.confirmations import UNBOUND
from coatcheck.grants.exchange_statements import redeem_together

NUMBERS = numbers_statement().uncounted
# Columns: the token (8), the result (2), then guid, member_guid, account_guid and sealed.
GUID, ACCOUNT_GUID, SEALED = 10, 12, 13
# Columns: the processor, the client, the account, then the scope.
SCOPE = 3
SIGNING_KEY = Ed25519PrivateKey.generate()
ADDRESS = "127.0.0.1"
HASH_KEY = bytes.fromhex(os.environ["BARE_HASH_KEY"])
KEY_HASH = bytes.fromhex(os.environ["BARE_KEY_HASH"])
PROCESSOR = os.environ["BARE_PROCESSOR"]
DB = Database(os.environ["COATCHECK_DATABASE_URL"], pool_size=16)


@dataclass(frozen=True)
class Redeemed:
    processor_guid: str
    client_guid: str
    account_guid: str
    scope: str | None
    token_expires_at: datetime
    superseded_guid: str | None
    must_be_bound: bool


REDEEM = Coalescer(DB, redeem_together(Redeemed), is_reserved=True)
NUMBERS = Coalescer(DB, numbers_statement().uncounted)


async def exchange(request: Request) -> Response:
    code = request.query_params["code"]
    now = datetime.now(UTC)
    token = b64encode(os.urandom(32)).decode()
    rows = await REDEEM(
        {
            "key_hash": KEY_HASH,
            "processor_guid": PROCESSOR,
            "code_day": int(request.query_params["day"]),
            "code_hash": hmac.digest(HASH_KEY, f"cca|{code}".encode(), "sha256"),
            "now": now,
            "token_week": int(request.query_params["week"]),
            "token_hash": hmac.digest(HASH_KEY, token.encode(), "sha256"),
            "token_guid": f"TKN-{uuid7()}",
            "first_characters": token[:12],
            "expires_at": now + timedelta(days=60),
            "idempotency_hash": None,
            "sealed_reply": None,
            "address": ADDRESS,
            "confirmation": None,
            "code_challenge": None,
            "fapi2_since": now,
            "event_guid": f"EVT-{uuid7()}",
            **draft(PROCESSOR, "token.issued", now),
        }
    )
    if not rows or rows[0][SCOPE] is None:
        return JSONResponse({"error": "invalid_grant"}, 400)
    # The receipt.
    SIGNING_KEY.sign(b"0" * 600)
    return JSONResponse({"access_token": token, "scope": rows[0][SCOPE], "token_type": "Bearer"})


async def account_numbers(request: Request) -> Response:
    token = request.headers["authorization"][7:]
    now = datetime.now(UTC)
    rows = await NUMBERS(
        {
            "expires_week": int(request.headers["x-week"]),
            "token_hash": hmac.digest(HASH_KEY, f"cct|{token}".encode(), "sha256"),
            "confirmations": UNBOUND,
            "request_id": None,
            "address": ADDRESS,
            "now": now,
            "size": 25,
            "offset": 0,
        }
    )
    if not rows:
        return JSONResponse({"error": "invalid_token"}, 401)
    numbers = rows[:-1]  # the last row has the token
    # The baseline has no keys. These two operations take the time of decrypting the data key and the row.
    cipher = AESGCM(HASH_KEY)
    for row in numbers:
        for _ in range(2):
            cipher.encrypt(b"0" * 12, row[SEALED], None)
    return JSONResponse(
        {
            "account_numbers": [
                {"guid": row[GUID], "account_guid": row[ACCOUNT_GUID], "account_number": "0" * 10}
                for row in numbers
            ]
        }
    )


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    await DB.open()
    yield
    await DB.close()


app = Starlette(
    routes=[Route("/token", exchange, methods=["POST"]), Route("/account/account_numbers", account_numbers)],
    lifespan=lifespan,
)
