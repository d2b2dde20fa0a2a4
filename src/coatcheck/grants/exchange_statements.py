"""The statements of the exchange of codes."""

from types import MappingProxyType

from coatcheck.audit.entries import DRAFTED, insert_from
from coatcheck.db.coalescing import MAX_ROWS, Asked, CoalescedStatement
from coatcheck.db.fragments import compact
from coatcheck.events.publisher import announce_redeemed
from coatcheck.grants.api_keys import LIVE, is_allowed
from coatcheck.grants.refusals import REASON
from coatcheck.grants.restrictions import COLUMNS, RESTRICTIONS
from coatcheck.grants.scope import scope_of
from coatcheck.grants.secrets import Kind

# What a restriction stores with the code is copied to its token, so that no read looks at the code.
STORED = ", ".join(COLUMNS)
# A renewal ends the grant that it supersedes in the statement that issues the new one, so there is no gap between them.
LOCK_RENEWED = """
SELECT FROM access_token old, authorization_code code
WHERE code.expires_day = %(code_day)s AND code.code_hash = %(code_hash)s
  AND old.expires_week = code.renews_week AND old.token_hash = code.renews_hash
FOR UPDATE OF old"""
RENEWABLE = """AND EXISTS (SELECT FROM access_token old WHERE old.expires_week = code.renews_week
                  AND old.token_hash = code.renews_hash AND old.revoked_at IS NULL)"""
RENEWED_COLUMNS = ", code.renews_week, code.renews_hash"
SUPERSEDED = """, superseded AS (
    UPDATE access_token old
    SET revoked_at = %(now)s, revoked_by = r.client_guid, revoked_because = 'a renewal superseded it',
        superseded_by = %(token_guid)s
    FROM redeemed r
    WHERE old.expires_week = r.renews_week AND old.token_hash = r.renews_hash AND old.revoked_at IS NULL
    RETURNING old.guid
)"""
# For `least`, which ignores NULL: a restriction without an expiry does not shorten the token's life.
EXPIRES_AT = ", ".join(["%(expires_at)s", *(each.expires for each in RESTRICTIONS if each.expires)])


WITH_KEY = f"""
    SELECT p.guid, p.sender_constraint, p.profile
    FROM api_key k JOIN processor p ON p.guid = k.owner_guid AND NOT p.is_disabled
    WHERE k.key_hash = %(key_hash)s AND k.owner_guid = %(processor_guid)s
      AND {LIVE} AND {is_allowed("p")} AND p.client_authentication = 'client_secret'"""
AUTHENTICATED = f"""
    SELECT p.guid, p.sender_constraint, p.profile
    FROM processor p WHERE p.guid = %(processor_guid)s AND NOT p.is_disabled AND {is_allowed("p")}"""
"""Of a processor that `processor_authentication` authenticated before."""
ISSUED = f"""
    INSERT INTO access_token (expires_week, token_hash, guid, client_guid, processor_guid, user_guid, member_guid,
                              account_guid, atoms, first_characters, created_at, expires_at, disclosure_guid,
                              confirmation, code_hash, code_challenge, idempotency_hash, sealed_reply, {STORED})
    SELECT %(token_week)s, %(token_hash)s, %(token_guid)s, client_guid, %(processor_guid)s, user_guid,
           member_guid, account_guid, atoms, %(first_characters)s, %(now)s, token_expires_at, disclosure_guid,
           %(confirmation)s, %(code_hash)s::bytea, %(code_challenge)s::text, %(idempotency_hash)s::bytea,
           %(sealed_reply)s::bytea, {STORED}
    FROM redeemed
    RETURNING client_guid, guid AS subject, processor_guid, user_guid, member_guid, account_guid, expires_at"""


# The code is deleted, and its token keeps its hash: that it was redeemed, and what for, is known as long as the token.
# The conditions are part of the DELETE, so that of many concurrent exchanges exactly one finds the code unredeemed
# (RFC 6749 4.1.2, ASVS 10.4.2 and 15.4.2). It checks the processor's key too: a wrong key, or a processor that is not
# enabled for the client or that the code is not for, leaves the code unredeemed. The LEFT JOIN at the end distinguishes
# the two refusals: no row is a wrong key (401), a row without a scope is a code that cannot be redeemed (400).
# IS NOT DISTINCT FROM: a verifier for a code without a challenge is refused too (RFC 9700 2.1.1, PKCE downgrade).
def _redeemed(*, renews: bool, condition: str = "", returning: str = "") -> str:
    """The body of the CTE `redeemed`. `condition` begins with AND, `returning` with a comma."""
    return f"""
    DELETE FROM authorization_code code
    USING redeemer p, client c, end_user u
    WHERE code.expires_day = %(code_day)s AND code.code_hash = %(code_hash)s AND code.expires_at > %(now)s
      AND (code.processor_guid IS NULL OR code.processor_guid = p.guid)
      AND c.guid = code.client_guid AND NOT c.is_disabled
      AND u.guid = code.user_guid AND NOT u.is_disabled
      AND EXISTS (SELECT FROM client_processor cp
                  WHERE cp.client_guid = code.client_guid AND cp.processor_guid = p.guid)
      AND (p.sender_constraint = 'none' OR %(confirmation)s::text IS NOT NULL)
      AND (p.profile <> 'fapi2' OR code.created_at > %(fapi2_since)s)
      AND code.code_challenge IS NOT DISTINCT FROM %(code_challenge)s
      {RENEWABLE if renews else ""} {condition}
    RETURNING code.client_guid, code.user_guid, code.member_guid, code.account_guid, code.atoms,
              least({EXPIRES_AT}) AS token_expires_at, code.disclosure_guid,
              {", ".join(f"code.{name}" for name in COLUMNS)}{RENEWED_COLUMNS if renews else ""}{returning}"""


def _redeem(*, renews: bool, redeemer: str) -> str:
    return f"""
WITH redeemer AS ({redeemer}), redeemed AS ({_redeemed(renews=renews)}), issued AS ({ISSUED}),
audited AS ({insert_from("issued")}), {announce_redeemed("issued")}{SUPERSEDED if renews else ""}
SELECT p.guid AS processor_guid, r.client_guid, r.account_guid, {scope_of("r")} AS scope, r.token_expires_at,
       {"(SELECT guid FROM superseded)" if renews else "NULL::text"} AS superseded_guid,
       p.sender_constraint <> 'none' AND %(confirmation)s::text IS NULL AS must_be_bound
FROM redeemer p LEFT JOIN redeemed r ON true
"""


REDEEM = MappingProxyType(
    {
        (kind, has_key): _redeem(
            renews=kind is Kind.RENEWAL_CODE, redeemer=WITH_KEY if has_key else AUTHENTICATED
        )
        for kind in (Kind.CODE, Kind.RENEWAL_CODE)
        for has_key in (True, False)
    }
)
"""By the kind of the code, and whether the statement checks an API key.

Only a renewal's statement locks the partitions in which it could find the old token.
"""

ASKED = Asked(
    {
        "key_hash": "bytea",
        "processor_guid": "text",
        "code_day": "integer",
        "code_hash": "bytea",
        "idempotency_hash": "bytea",
        "sealed_reply": "bytea",
        "confirmation": "text",
        "code_challenge": "text",
        "fapi2_since": "timestamptz",
        "address": "text",
        "now": "timestamptz",
        "token_week": "integer",
        "token_hash": "bytea",
        "token_guid": "text",
        "first_characters": "text",
        "expires_at": "timestamptz",
        "event_guid": "text",
        **DRAFTED,
    }
)
# BETWEEN alone leaves out the other partitions too. But PostgreSQL expects 1 row in 200 of a range, so it reads all
# codes of the day into a hash table instead of looking up those of the calls. It knows that one day has all rows.
_REDEEMED_TOGETHER = _redeemed(
    renews=False,
    condition="AND (code.expires_day = %(first)s OR code.expires_day BETWEEN %(first)s AND %(last)s)",
    returning=", p.*",
)


# LIMIT with a query: PostgreSQL plans for ten calls. Without it, it plans for a hundred, as of any JSON array.
# `granted` is read from `redeemed`: what an insert returns has no parameter of its call, such as `event_guid`.
def redeem_together(record: type) -> CoalescedStatement:
    """As `REDEEM` of a code with an API key, for several exchanges. Of those with one code, one finds it unredeemed."""
    return CoalescedStatement(
        ASKED,
        compact(f"""
WITH {ASKED.cte},
redeemer AS (SELECT * FROM asked CROSS JOIN LATERAL ({ASKED.of("asked", WITH_KEY)} LIMIT 1) AS processor
             LIMIT (SELECT {MAX_ROWS})),
redeemed AS ({ASKED.of("p", _REDEEMED_TOGETHER)}),
issued AS ({ASKED.of("redeemed", ISSUED)}),
granted AS (SELECT client_guid, token_guid AS subject, processor_guid, user_guid, member_guid, account_guid,
                   token_expires_at AS expires_at, now, event_guid, {", ".join(DRAFTED)} FROM redeemed),
audited AS ({ASKED.of("written", insert_from("granted"))}),
{ASKED.of("granted", announce_redeemed("granted"))}
SELECT p.caller, p.guid AS processor_guid, r.client_guid, r.account_guid, {scope_of("r")} AS scope, r.token_expires_at,
       NULL::text AS superseded_guid,
       p.sender_constraint <> 'none' AND p.confirmation IS NULL AS must_be_bound
FROM redeemer p LEFT JOIN redeemed r USING (caller)"""),
        (record,),
        partition_keys=("code_day", "code_day"),
        lock_order="code_hash",
    )


FIND_STORED = f"""
SELECT processor_guid, client_guid, account_guid, {scope_of("t")} AS scope, expires_at AS token_expires_at,
       NULL::text AS superseded_guid, false AS must_be_bound
FROM access_token t WHERE expires_week = %(token_week)s AND token_hash = %(token_hash)s
"""

# Only the processor that redeemed a code can revoke its token by presenting the code again. Otherwise a processor that
# learns another's used code could revoke the token. A retry with the Idempotency-Key of the first exchange is not a
# replay. It gets no token that has ended since: `retried` reads `live_token`. `reason` explains the refusal to the
# operator. `one_row` has no columns: an unknown code gives a row too.
REPLAY = f"""
WITH code AS (
    SELECT * FROM authorization_code WHERE expires_day = %(code_day)s AND code_hash = %(code_hash)s
), token AS (
    SELECT * FROM access_token WHERE code_hash = %(code_hash)s
), replayed AS (
    SELECT * FROM token WHERE processor_guid = %(processor_guid)s
), retried AS (
    SELECT c.sealed_reply, t.guid AS token_guid, {scope_of("t")} AS scope, c.created_at, t.expires_at
    FROM replayed c JOIN live_token t ON t.expires_week = c.expires_week AND t.token_hash = c.token_hash
    WHERE c.idempotency_hash = %(idempotency_hash)s AND c.created_at > %(retry_since)s
      AND c.code_challenge IS NOT DISTINCT FROM %(code_challenge)s
      AND c.confirmation IS NOT DISTINCT FROM %(confirmation)s
), revoked AS (
    UPDATE access_token t
    SET revoked_at = %(now)s, revoked_by = %(processor_guid)s, revoked_because = 'its code was presented again'
    FROM replayed c
    WHERE %(revokes)s AND NOT EXISTS (SELECT FROM retried) AND t.revoked_at IS NULL
      AND c.created_at < %(race_since)s
      AND t.expires_week = c.expires_week AND t.token_hash = c.token_hash
    RETURNING t.client_guid, t.guid AS subject
), audited AS (
    {insert_from("revoked")}
)
SELECT r.sealed_reply, r.token_guid, r.scope, r.created_at, r.expires_at,
       coalesce(token.client_guid, code.client_guid) AS client_guid,
       coalesce(token.account_guid, code.account_guid) AS account_guid,
       {REASON} AS reason, (SELECT subject FROM revoked) AS revoked_guid
FROM (SELECT) AS one_row LEFT JOIN code ON true LEFT JOIN token ON true LEFT JOIN retried r ON true
"""
