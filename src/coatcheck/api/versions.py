"""Which dialect a request speaks, and how its answer is labelled (mx-contract Q23, Q24)."""

from functools import lru_cache

from coatcheck.api.presenter import Presenter
from coatcheck.api.schemas.v20111101.presenter import V20111101
from coatcheck.api.schemas.v20250224.presenter import V20250224
from coatcheck.errors import UnknownVersion
from coatcheck.http.negotiation import accepted

VENDOR = "application/vnd.mx.api.v1+json"
JSON = "application/json; charset=utf-8"

OLDER: Presenter = V20111101()
NEWER: Presenter = V20250224()

JSON_RANGES = frozenset({"application/json", "application/*", "*/*"})
OTHER_RANGES = frozenset({"application/vnd.mx.api.v1+pdf", "application/pdf"})
"""What clients ask for where they read a statement's PDF; what goes wrong there is still told in JSON."""


@lru_cache(maxsize=256)
def choose(accept: str | None, accept_version: str | None) -> tuple[Presenter, str]:
    """The dialect, and the media type of its JSON.

    `Accept-Version` decides where it is sent; without it the older dialect answers everybody who takes JSON,
    since MX's own SDKs send a plain `application/json` for what processors read.

    Raises:
        UnknownVersion: another version was asked for, or an `Accept` that takes no JSON.
    """
    ranges = {"*/*"} if accept is None or not accept.strip() else set(accepted(accept))
    if not ranges & (JSON_RANGES | OTHER_RANGES | {VENDOR}):
        raise UnknownVersion
    match accept_version:
        case "v20250224":
            return NEWER, JSON
        case None | "v20111101":
            return OLDER, VENDOR if VENDOR in ranges else JSON
        case _:
            raise UnknownVersion
