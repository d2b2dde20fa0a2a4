"""The endpoints of the SimpleFIN server, in the order in which the documentation lists them."""

from dataclasses import dataclass
from typing import ClassVar

from msgspec import Struct
from starlette.responses import Response

from coatcheck import errors
from coatcheck.errors import CoatcheckError
from coatcheck.http import route
from coatcheck.http.route import Caller, Group, Parameter
from coatcheck.simplefin import handlers
from coatcheck.simplefin.errors import CLAIMS, ROOT, claim_error, simplefin_error
from coatcheck.simplefin.request import SimplefinRequest
from coatcheck.simplefin.schemas import AccountSet, SimplefinInfo

ACCESS_URL = "https://SFA-0197c4a6-4a10-7d2e-8b3c-4d5e6f708192:ccu_2hQ...@coatcheck.test/simplefin"


@dataclass(frozen=True, slots=True)
class Route(route.Route[SimplefinRequest]):
    """One endpoint of the SimpleFIN server."""

    path_parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("setup_token", "The last part of the claim URL.", example="ccf_0Gz..."),
    )
    error_body: ClassVar[type[Struct]] = AccountSet

    def refuse(self, error: CoatcheckError) -> Response:
        return simplefin_error(error)


@dataclass(frozen=True, slots=True)
class ClaimRoute(Route):
    """The claim of a setup token, whose answers are text."""

    def refuse(self, error: CoatcheckError) -> Response:
        return claim_error(error)


SIMPLEFIN: Group[Route] = Group(
    "SimpleFIN",
    "For apps that read SimpleFIN, such as Actual Budget and Home Assistant. The answers are the union of the "
    "protocol's versions 1 and 2. `POST /coatcheck/users/{guid}/setup_tokens` creates setup tokens.",
    (
        Route(
            "GET",
            f"{ROOT}/info",
            handlers.info,
            "simplefinInfo",
            "List the versions of the protocol",
            caller=Caller.ANYONE,
            needs_connection=False,
            answer=SimplefinInfo,
        ),
        Route(
            "GET",
            f"{ROOT}/create",
            handlers.create,
            "simplefinCreate",
            "Show how to get a setup token",
            "A page for the user.",
            caller=Caller.ANYONE,
            needs_connection=False,
            media_types=("text/html",),
            text_example="<!doctype html>...",
        ),
        ClaimRoute(
            "POST",
            f"{CLAIMS}{{setup_token}}",
            handlers.claim,
            "simplefinClaim",
            "Claim a setup token",
            "Once, within 24 hours. The answer is the access URL, with user name and password; it is shown this "
            "once. Credentials in the request have no effect.",
            caller=Caller.ANYONE,
            media_types=("text/plain",),
            text_example=ACCESS_URL,
            refusals=(errors.InvalidGrant(),),
        ),
        Route(
            "GET",
            f"{ROOT}/accounts",
            handlers.accounts,
            "simplefinAccounts",
            "Read accounts and transactions",
            "Each account is read with its own grant. 403 with an `errlist` that says why if all of them have ended.",
            caller=Caller.APP,
            query=(
                Parameter("start-date", "Only transactions from then on, in seconds since 1970.", "number"),
                Parameter("end-date", "Only transactions before then, in seconds since 1970.", "number"),
                Parameter("pending", "With 1, pending transactions too.", choices=("0", "1")),
                Parameter("account", "Only this account. May be repeated.", is_repeated=True),
                Parameter("balances-only", "With 1, no transactions.", choices=("0", "1")),
                Parameter("version", "Has no effect: the answer is that of both versions."),
            ),
            answer=AccountSet,
        ),
    ),
)
GROUPS: tuple[Group[Route], ...] = (SIMPLEFIN,)
ROUTES: tuple[Route, ...] = SIMPLEFIN.routes
