"""The endpoints of the SimpleFIN server."""

from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

from coatcheck.errors import Forbidden, InvalidToken
from coatcheck.grants.access_urls import AppGrant
from coatcheck.grants.portal_sessions import SIGN_IN_PATH
from coatcheck.http.encoding import JSON, encode
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.message_page import Link, message, page_with_link
from coatcheck.http.request import CompleteResponse
from coatcheck.simplefin.account_sets import (
    MAX_TRANSACTIONS,
    AccountReads,
    account_set,
    account_set_of_ended,
)
from coatcheck.simplefin.request import SimplefinRequest
from coatcheck.simplefin.schemas import AccountSet, SimplefinInfo

VERSIONS = ["1.0", "2.0"]
TITLE = "Give an app access"
HOW = (
    "An app that reads SimpleFIN asks you for a setup token. Open the page of your connected accounts from the service"
    " in which you connected your bank, and choose Connect an app. Paste the token into the app within 24 hours. It"
    " works once."
)
HOW_BY_SIGN_IN = (
    "An app that reads SimpleFIN asks you for a setup token. Sign in, and choose Connect an app. Paste the token into"
    " the app within 24 hours. It works once."
)


async def info(_request: SimplefinRequest) -> SimplefinInfo:
    return SimplefinInfo(VERSIONS)


async def create(request: SimplefinRequest) -> CompleteResponse:
    if request.services.portal_identity_provider.is_configured:
        # Below the address that users know, also if this server answers at several.
        address = f"{request.services.settings.base_url}{SIGN_IN_PATH}"
        page = page_with_link(TITLE, HOW_BY_SIGN_IN, Link(address, "Sign in"))
    else:
        page = message(200, TITLE, HOW)
    headers = tuple(page_headers(Policy.MESSAGE).items())
    return CompleteResponse(200, bytes(page.body), "text/html; charset=utf-8", headers)


async def claim(request: SimplefinRequest) -> CompleteResponse:
    access = await request.services.setup_tokens.claim(request.connection, request.path["setup_token"])
    url = urlsplit(request.root)
    # The protocol has the credentials in the URL. It is shown this once, and no log of ours has an answer.
    with_userinfo = url._replace(netloc=f"{access.guid}:{access.key}@{url.netloc}")
    return CompleteResponse(200, urlunsplit(with_userinfo).encode(), "text/plain; charset=utf-8")


async def accounts(request: SimplefinRequest) -> AccountSet | CompleteResponse:
    """Reads each account with its own grant: each has its own restrictions and its own disclosure."""
    services, filters = request.services, request.transaction_filter
    async with services.db.connection() as connection:
        opened = await services.access_urls.open(connection, request.access_guid, request.app_key)
    # Before any read: an app that goes on polling an ended access would cost two statements for each account.
    if all(_has_ended(each, services.clock.instant()) for each in opened):
        return CompleteResponse(403, encode(account_set_of_ended(opened)), JSON)
    reads = AccountReads()
    for grant in opened:
        if request.accounts and grant.account_guid not in request.accounts:
            continue
        try:
            read = await services.access.account(grant.presented, filters, most=MAX_TRANSACTIONS)
        except (Forbidden, InvalidToken) as error:
            reads.refused.append((grant, error))
        else:
            reads.answered.append((grant, read))
    found = account_set(reads, services.registry, services.settings.base_url)
    return CompleteResponse(403, encode(found), JSON) if reads.all_have_ended else found


def _has_ended(grant: AppGrant, now: datetime) -> bool:
    return grant.revoked_at is not None or grant.expires_at <= now
