"""The statement that issues codes.

    asked      what each call presents
    issuer     the same row, if its client is authenticated                             (grants)
    requested  what its scope names, and how many live codes the account has            (directory, vault, grants)
    decided    whether the account may have one more code
    accepted   the rows of which none of these refuses a code
    issued, used, audited    the code, the use of its disclosure, and its audit entry

Requests that arrive together are one statement with a row for each. Of those for one account, each counts the codes
that the ones before it get.
"""

from coatcheck.audit.entries import DRAFTED, insert_from
from coatcheck.db.coalescing import Asked, CoalescedStatement
from coatcheck.db.fragments import compact
from coatcheck.grants.api_keys import LIVE, is_allowed
from coatcheck.grants.authorization_disclosures import AUTHORIZATION_OF_MEMBER, IS_SELECTED, USED
from coatcheck.grants.restrictions import CODE_COLUMNS
from coatcheck.vault.vault import has_numbers

STORED = {**CODE_COLUMNS, "renews_week": "integer", "renews_hash": "bytea", "code_challenge": "text"}
"""Columns of a code that it has from the request as they are, with their types."""
ASKED = Asked(
    {
        "key_hash": "bytea",
        "client_guid": "text",
        "user_guid": "text",
        "member_guid": "text",
        "account_guid": "text",
        "atoms": "text",
        "today": "integer",
        "expires_day": "integer",
        "code_hash": "bytea",
        "now": "timestamptz",
        "expires_at": "timestamptz",
        "max_codes": "integer",
        "used_before": "timestamptz",
        "address": "text",
        **STORED,
        **DRAFTED,
    }
)

WITH_KEY = f"""
    SELECT FROM api_key k JOIN client c ON c.guid = k.owner_guid AND NOT c.is_disabled
    WHERE k.key_hash = %(key_hash)s AND k.owner_guid = %(client_guid)s AND {LIVE} AND {is_allowed("c")}"""
# It counts up to the limit only. The statements of several processes do not see one another's codes, so together they
# can exceed it. One index has all of these conditions, and no other index has those on the account or the day first. So
# PostgreSQL chooses it whatever the statistics say, and reads no code that is redeemed or of another account.
LIVE_CODES = """
    SELECT count(*) AS number, min(expires_at) AS first_expires_at
    FROM (SELECT expires_at FROM authorization_code
          WHERE account_guid = %(account_guid)s AND expires_at > %(now)s
            AND expires_day BETWEEN %(first)s AND %(last)s
          LIMIT %(max_codes)s) AS codes"""
REQUESTED = f"""
    SELECT u.is_disabled, {has_numbers("a")} AS is_verified,
           %(processor_guid)s::text IS NULL OR EXISTS (
               SELECT FROM client_processor cp JOIN processor p ON p.guid = cp.processor_guid AND NOT p.is_disabled
               WHERE cp.client_guid = u.client_guid AND cp.processor_guid = %(processor_guid)s) AS is_redeemable,
           {IS_SELECTED} AS is_selected, ma.disclosure_guid, live.number, live.first_expires_at
    FROM end_user u
    JOIN account a ON a.user_guid = u.guid AND a.guid = %(account_guid)s AND a.member_guid = %(member_guid)s
    {AUTHORIZATION_OF_MEMBER}
    CROSS JOIN ({LIVE_CODES}) AS live
    WHERE u.guid = %(user_guid)s AND u.client_guid = %(client_guid)s"""
MAY_HAVE_CODE = "is_verified AND is_selected AND NOT is_disabled AND is_redeemable"
FROM_REQUEST = ", ".join(
    [
        "expires_day",
        "code_hash",
        "client_guid",
        "user_guid",
        "member_guid",
        "account_guid",
        "atoms",
        "expires_at",
        *STORED,
    ]
)


def _issue(record: type, issuer: str) -> CoalescedStatement:
    # PARTITION BY whether the row may have a code: a request that is refused must not take the place of another one.
    # LATERAL and LIMIT: PostgreSQL plans it for one row, by the indexes, however many there are.
    return CoalescedStatement(
        ASKED,
        compact(f"""
WITH {ASKED.cte},
issuer AS ({issuer}),
requested AS (SELECT * FROM issuer CROSS JOIN LATERAL ({ASKED.of("issuer", REQUESTED)} LIMIT 1) AS named),
decided AS (
    SELECT *, number + row_number() OVER (PARTITION BY account_guid, {MAY_HAVE_CODE} ORDER BY caller) <= max_codes
              AS is_within_limit
    FROM requested
),
accepted AS (SELECT *, account_guid AS subject FROM decided WHERE {MAY_HAVE_CODE} AND is_within_limit),
issued AS (
    INSERT INTO authorization_code (created_at, disclosure_guid, {FROM_REQUEST})
    SELECT now, disclosure_guid, {FROM_REQUEST} FROM accepted
),
used AS ({ASKED.of("accepted", USED)}),
audited AS ({ASKED.of("written", insert_from("accepted"))})
SELECT issuer.caller, d.is_disabled, d.is_verified, d.is_selected, d.is_redeemable, d.is_within_limit,
       d.first_expires_at
FROM issuer LEFT JOIN decided d USING (caller)"""),
        (record,),
        partition_keys=("today", "expires_day"),
    )


def issue_with_key(record: type) -> CoalescedStatement:
    """Issues codes to clients that present an API key. There is no row for one that is not authenticated."""
    return _issue(
        record,
        f"SELECT asked.* FROM asked CROSS JOIN LATERAL ({ASKED.of('asked', WITH_KEY)} LIMIT 1) AS client",
    )


def issue_authenticated(record: type) -> CoalescedStatement:
    """Issues codes to clients that are authenticated already."""
    return _issue(record, "SELECT * FROM asked")
