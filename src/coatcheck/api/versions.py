"""The versions of MX's API, and the selection of one by the headers of a request."""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from msgspec import Struct

from coatcheck.errors import UnknownVersion
from coatcheck.http.encoding import JSON
from coatcheck.http.negotiation import accepted

VENDOR = "application/vnd.mx.api.v1+json"

BETA = frozenset({"application/vnd.mx.api.v2beta+json", "application/vnd.mx.api.v2+json"})
"""Names of JSON in `Accept` from the time before `Accept-Version`, which clients still send for v20111101's shapes."""

JSON_RANGES = frozenset({"application/json", "application/*", "*/*"}) | BETA
PDF_RANGES = frozenset({"application/vnd.mx.api.v1+pdf", "application/pdf"})
"""The media types in `Accept` when a client downloads a statement. Errors are JSON even then."""


class Version(StrEnum):
    """A version of MX's API. v20111101 answers contain exactly the keys of MX's schemas."""

    V20111101 = "v20111101"
    V20250224 = "v20250224"


ByVersion: TypeAlias = Mapping[Version, type[Struct]]
"""The schema of one answer in each version."""


@lru_cache(maxsize=256)
def choose(accept: str | None, accept_version: str | None) -> tuple[Version, str]:
    """The version, and the media type of its JSON answers.

    `Accept-Version` decides. Without it the version is v20111101, because MX's SDKs for that version send only
    `Accept: application/json` for a processor's reads.

    Raises:
        UnknownVersion: `Accept-Version` names another version, or `Accept` excludes JSON.
    """
    # Without the header every type is accepted (RFC 9110 12.5.1).
    ranges = set(accepted(accept)) if accept and accept.strip() else {"*/*"}
    if not ranges & (JSON_RANGES | PDF_RANGES | {VENDOR}):
        raise UnknownVersion
    match accept_version and accept_version.strip():
        case Version.V20250224:
            return Version.V20250224, JSON
        case None | Version.V20111101:
            return Version.V20111101, VENDOR if VENDOR in ranges else JSON
        case _:
            raise UnknownVersion
