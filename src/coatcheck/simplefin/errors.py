"""Errors in the format of SimpleFIN: an account set without accounts."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from starlette.responses import PlainTextResponse, Response

from coatcheck import errors
from coatcheck.http.encoding import JSON, encode
from coatcheck.http.errors import INTERNAL, STATUSES, headers_of, message_of, nearest
from coatcheck.http.headers import NO_STORE
from coatcheck.simplefin.schemas import AccountSet, SimplefinError

SIMPLEFIN_STATUSES: Mapping[type[errors.CoatcheckError], int] = MappingProxyType(
    {**STATUSES, errors.Unauthenticated: 403, errors.InvalidGrant: 403}
)
"""The protocol has 403 for everything that concerns the credentials."""
CODES: Mapping[type[errors.CoatcheckError], str] = MappingProxyType(
    {
        errors.Unauthenticated: "gen.auth",
        errors.Forbidden: "gen.auth",
        errors.InvalidGrant: "gen.auth",
        errors.InvalidRequest: "gen.api",
    }
)
ROOT = "/simplefin"
CLAIMS = f"{ROOT}/claim/"
NO_ACCESS = "The access URL is unknown. Create a new setup token."


def item(code: str, text: str, **of: str) -> SimplefinError:
    """An error; `of` names the connection and the account that it concerns."""
    return SimplefinError(code=code, msg=text, message=text, **of)


def account_set_without_accounts(errlist: Sequence[SimplefinError]) -> AccountSet:
    return AccountSet(
        errors=[each.msg for each in errlist], errlist=list(errlist), connections=[], accounts=[]
    )


def simplefin_error(error: errors.CoatcheckError) -> Response:
    """The answer to an error."""
    text = NO_ACCESS if type(error) is errors.InvalidToken else message_of(error)
    body = account_set_without_accounts([item(nearest(CODES, error, "gen."), text)])
    return Response(encode(body), _status_of(error), {**NO_STORE, **headers_of(error)}, JSON)


def claim_error(error: errors.CoatcheckError) -> Response:
    """The answer to a claim that is refused. Apps look for text that begins with `Forbidden`."""
    text = f"Forbidden. {message_of(error)}" if _status_of(error) == 403 else message_of(error)
    return PlainTextResponse(text, _status_of(error), {**NO_STORE, **headers_of(error)})


def error_of_status(path: str, status: int, message: str, headers: Mapping[str, str]) -> Response:
    """An error with any status, in the format of the path."""
    if path.startswith(CLAIMS):
        return PlainTextResponse(message, status, {**NO_STORE, **headers})
    body = account_set_without_accounts([item("gen.auth" if status in {401, 403} else "gen.", message)])
    return Response(encode(body), status, {**NO_STORE, **headers}, JSON)


def error_at(error: errors.CoatcheckError, path: str) -> Response:
    """The answer to a request that is refused before it reaches its endpoint."""
    return claim_error(error) if path.startswith(CLAIMS) else simplefin_error(error)


def _status_of(error: errors.CoatcheckError) -> int:
    return nearest(SIMPLEFIN_STATUSES, error, INTERNAL)
