"""Grants: listed, read and revoked."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from coatcheck.errors import NotFound
from coatcheck.grants.fdx import FdxParty, PartyType, fdx_consent
from coatcheck.grants.listing import GrantFilter
from coatcheck.grants.scope import parse_scope
from coatcheck.http.decoding import parse
from coatcheck.http.query import read_choice, read_page, read_text
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.fdx import FdxConsentResponse, fdx_consent_body
from coatcheck.management.schemas.grants import (
    GrantChangeRequestBody,
    GrantResponseBody,
    GrantsResponseBody,
    ReadsResponseBody,
    RenewalRequestBody,
    RenewalResponseBody,
    RevocationRequestBody,
    RevocationResponseBody,
    RevokedGrantResponseBody,
    RevokeRequestBody,
    grant_body,
    grants_body,
    reads_body,
    renewal_body,
    revocation_body,
    revoked_grant_body,
)
from coatcheck.model.clients import find_client
from coatcheck.model.members import find_member
from coatcheck.model.paging import Page
from coatcheck.model.tokens import Grant, GrantStatus
from coatcheck.vault.grant_reads import list_reads as list_reads_of


class View(StrEnum):
    """Other forms of a grant."""

    FDX = "fdx"


async def list_grants(request: ManagementRequest) -> GrantsResponseBody:
    page = read_page(request.query)
    own = _of_caller(request)
    processor_guid = read_text(request.query, "processor_guid") or own.processor_guid
    # An empty list and not an error: a filter selects among what the caller may see.
    if own.processor_guid and processor_guid != own.processor_guid:
        return grants_body(Page((), 0, page))
    filters = replace(
        own,
        processor_guid=processor_guid,
        user_guid=read_text(request.query, "user_guid"),
        member_guid=read_text(request.query, "member_guid"),
        account_guid=read_text(request.query, "account_guid"),
        status=read_choice(request.query, "status", GrantStatus),
    )
    return grants_body(await request.services.grants.list(request.connection, filters, page))


async def read_grant(request: ManagementRequest) -> GrantResponseBody | FdxConsentResponse:
    grant = await _grant(request)
    if read_choice(request.query, "view", View) is View.FDX:
        return fdx_consent_body(fdx_consent(grant, await _parties(request, grant)))
    return grant_body(grant)


async def narrow_grant(request: ManagementRequest) -> GrantResponseBody:
    await request.services.narrowing.narrow(
        request.connection,
        client_guid=request.client.guid,
        token_guid=request.path["grant"],
        changes=parse(request.body, GrantChangeRequestBody).grant.changes,
    )
    return grant_body(await _grant(request))


async def renew_grant(request: ManagementRequest) -> RenewalResponseBody:
    scope = parse(request.body, RenewalRequestBody).renewal.scope if request.body else None
    code = await request.services.issuer.issue_renewal(
        request.connection,
        client_guid=request.client.guid,
        token_guid=request.path["grant"],
        scope=None if scope is None else parse_scope(scope),
    )
    return renewal_body(code)


async def revoke_grant(request: ManagementRequest) -> RevokedGrantResponseBody:
    reason = parse(request.body, RevokeRequestBody).reason if request.body else None
    receipt = await request.services.revocations.revoke(
        request.connection, client_guid=request.client.guid, guid=request.path["grant"], reason=reason
    )
    try:
        grant = await _grant(request)
    # The grant was deleted some weeks after it expired; its receipt is kept for years.
    except NotFound:
        grant = None
    return revoked_grant_body(grant, receipt)


async def revoke_grants(request: ManagementRequest) -> RevocationResponseBody:
    fields = parse(request.body, RevocationRequestBody).revocation
    return revocation_body(
        await request.services.revocations.revoke_all(
            client_guid=request.client.guid, selector=fields.selector, reason=fields.reason
        )
    )


async def list_reads(request: ManagementRequest) -> ReadsResponseBody:
    grant = await _grant(request)
    return reads_body(
        await list_reads_of(request.connection, grant.guid, grant.created_at, read_page(request.query))
    )


async def _grant(request: ManagementRequest) -> Grant:
    filters = replace(_of_caller(request), guid=request.path["grant"])
    return await request.services.grants.find(request.connection, filters)


async def _parties(request: ManagementRequest, grant: Grant) -> Sequence[FdxParty]:
    """The processor, the client and, while the member exists, the bank."""
    home, connection = request.services.settings.base_url, request.connection
    client = await find_client(connection, grant.client_guid)
    parties = [
        FdxParty(grant.processor_name, PartyType.RECIPIENT, home, grant.processor_guid),
        FdxParty(client.name, PartyType.PLATFORM, home, client.guid),
    ]
    try:
        member = await find_member(connection, grant.user_guid, grant.member_guid)
        bank = request.services.registry.find(member.institution_code)
    except NotFound:
        return parties
    return [*parties, FdxParty(bank.name, PartyType.PROVIDER, bank.url or home, bank.guid)]


def _of_caller(request: ManagementRequest) -> GrantFilter:
    """All grants that the caller may see."""
    if request.processor_or_none:
        return GrantFilter(processor_guid=request.processor_or_none.guid)
    return GrantFilter(client_guid=request.client.guid)
