"""Client assertions: a processor authenticates with a JWT that it signed (RFC 7523, `private_key_jwt`). No I/O."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from joserfc.jwk import KeySet

from coatcheck.grants.jwt_verification import (
    ASSERTION_ALGORITHMS,
    LENIENCY,
    MAX_AHEAD,
    InvalidJwt,
    text_claim,
    time_claim,
    unverified_claims,
    verify,
)

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The value of `client_assertion_type` (RFC 7523 2.2)."""
MAX_LIFETIME = timedelta(hours=1, minutes=1)
"""Some client libraries let an assertion expire after an hour, by their clock. Its `jti` is stored until then."""


@dataclass(frozen=True, slots=True)
class AssertionRules:
    """Which assertions are accepted."""

    audiences: Collection[str]
    """The names of this server: the assertion must name one."""
    algorithms: Collection[str] = ASSERTION_ALGORITHMS
    permits_list: bool = True
    """Whether `aud` may be a list, with other names beside this server's."""


@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """An assertion of the processor for this server. Whether it was used before is not checked yet."""

    jti: str
    expires_at: float
    """Seconds since 1970."""


def verify_assertion(
    text: str, keys: KeySet, *, processor_guid: str, now: datetime, rules: AssertionRules
) -> ClientAssertion:
    """Checks an assertion (RFC 7523 3), except for reuse.

    Args:
        text: the value of `client_assertion`.
        keys: the public keys of the processor.
        processor_guid: which processor must be its issuer and subject.
        now: the current time.
        rules: which assertions are accepted.

    Raises:
        InvalidJwt: the assertion is malformed, signed by another key, of or for another party, or expired.
    """
    # The header `typ` is not checked: RFC 7523 defines none, so libraries send different ones or none.
    _, claims = verify(text, keys, rules.algorithms)
    if claims.get("iss") != processor_guid or claims.get("sub") != processor_guid:
        raise InvalidJwt("iss and sub are not the processor")
    audience = claims.get("aud")
    # FAPI 2.0 takes no list: with several names, one of the other servers could present the assertion here.
    named = audience if isinstance(audience, list) and rules.permits_list else [audience]
    if not any(isinstance(each, str) and each in rules.audiences for each in named):
        raise InvalidJwt("aud does not name this server")
    expires_at, seconds = time_claim(claims, "exp"), now.timestamp()
    if not seconds - LENIENCY.total_seconds() < expires_at <= seconds + MAX_LIFETIME.total_seconds():
        raise InvalidJwt("exp is in the past or more than an hour ahead")
    # Both are optional (RFC 7523 3). `not <=` instead of `>`: a comparison with NaN is false.
    for name in ("iat", "nbf"):
        if name in claims and not time_claim(claims, name) <= seconds + MAX_AHEAD.total_seconds():
            raise InvalidJwt(f"{name} is in the future")
    # RFC 7523 leaves `jti` optional. Without one, an assertion that was overheard could be used again.
    return ClientAssertion(text_claim(claims, "jti"), expires_at)


def claimed_issuer(text: str) -> str:
    """The `iss` of an assertion that is not verified yet: whose keys verify it.

    Raises:
        InvalidJwt: the text is no JWT, or has no issuer.
    """
    return text_claim(unverified_claims(text), "iss")
