"""The pages of the portal."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from starlette.responses import RedirectResponse, Response

from coatcheck.audit.entries import Entry
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.grants.listing import GrantFilter
from coatcheck.grants.narrowing import UNSET, Changes, Limit
from coatcheck.grants.restrictions import Permission
from coatcheck.grants.revocation import Selector
from coatcheck.http.forms import number, optional_number
from coatcheck.http.headers import NO_STORE
from coatcheck.model.paging import PageRequest
from coatcheck.model.tokens import Grant
from coatcheck.portal.overview import CHART_DAYS, READING, Overview, chart, overview
from coatcheck.portal.request import PortalRequest
from coatcheck.portal.texts import CONNECTIONS, INTERRUPTED, PERMISSIONS, READS, STATES, translate
from coatcheck.vault.grant_reads import days_of_reads, list_reads_of_processor

READS_ON_A_PAGE = 50
AGREEMENTS_ON_A_PAGE = 5
"""Each is shown whole, and has its signed copy twice: as text and as a file."""
STOPPED_BY_USER = "stopped by the user in the portal"
EVERYTHING = "everything"


async def show_overview(request: PortalRequest) -> Response:
    found = await _overview(request)
    return await request.page("overview", found=found, reading=READING, **_names(request))


async def show_processor(request: PortalRequest) -> Response:
    """One processor: what it may read, how often it read, and each read."""
    services, session, guid = request.services, request.session, request.path["processor"]
    found = await _overview(request)
    reader = next((each for each in found.readers if each.guid == guid), None)
    if reader is None:
        raise NotFound
    page = _page_of(request, READS_ON_A_PAGE)
    now = services.clock.now()
    async with services.db.connection() as connection:
        reads = await list_reads_of_processor(connection, session.user_guid, guid, page)
        days = await days_of_reads(connection, session.user_guid, guid, now - timedelta(days=CHART_DAYS))
    return await request.page(
        "processor",
        found=found,
        reader=reader,
        reads=reads,
        bars=chart(days, now.astimezone(UTC).date()),
        grants={grant.guid: grant for grant in reader.grants},
        reading=READING,
        **_names(request),
    )


async def show_grant(request: PortalRequest) -> Response:
    """One grant: what the user agreed to, and the form that narrows it."""
    grant, found = await _grant(request), await _overview(request)
    return await request.page(
        "grant", grant=grant, found=found, can_change=grant.status in READING, **_names(request)
    )


async def narrow_grant(request: PortalRequest) -> Response:
    grant = await _grant(request)
    services, session = request.services, request.session
    async with services.db.transaction() as connection:
        await services.narrowing.narrow(
            connection,
            client_guid=session.client_guid,
            token_guid=grant.guid,
            changes=_changes(request, grant),
            actor=session.user_guid,
        )
    return RedirectResponse(f"{request.home}/grants/{grant.guid}", 303, NO_STORE)


async def confirm_stop(request: PortalRequest) -> Response:
    """Asks before access is stopped."""
    found = await _overview(request)
    chosen = _chosen(request, found)
    return await request.page("stop", chosen=chosen, stopped=_stopped_name(found, chosen))


async def stop(request: PortalRequest) -> Response:
    """Stops access. When the page says so, every read that began before has ended, and later ones are refused."""
    services, session = request.services, request.session
    found = await _overview(request)
    chosen = _chosen(request, found)
    name = _stopped_name(found, chosen)
    if guid := chosen.get("grant"):
        async with services.db.connection() as connection:
            receipt = await services.revocations.revoke(
                connection,
                client_guid=session.client_guid,
                guid=guid,
                reason=STOPPED_BY_USER,
                actor=session.user_guid,
            )
    else:
        receipt = await services.revocations.revoke_all(
            client_guid=session.client_guid,
            # The user of the session is in every selector, whatever the form says.
            selector=Selector(
                user_guid=session.user_guid,
                processor_guid=chosen.get("processor_guid"),
                member_guid=chosen.get("member_guid"),
                account_guid=chosen.get("account_guid"),
            ),
            reason=STOPPED_BY_USER,
            actor=session.user_guid,
        )
    return await request.page("stopped", receipt=receipt, stopped=name)


async def confirm_deletion(request: PortalRequest) -> Response:
    return await request.page("delete")


async def delete_everything(request: PortalRequest) -> Response:
    """Deletes the user, and shows the attestation. The page needs the client only: the session ends with its user."""
    services, session = request.services, request.session
    async with services.db.transaction() as connection:
        user = await request.user(connection)
        attestation = await services.users.delete(connection, user, actor=session.user_guid)
    return await request.page("deleted", attestation=attestation)


async def leave(request: PortalRequest) -> Response:
    services, session = request.services, request.session
    # Before the session ends: the page has the name and the colours of the client.
    page = await request.page("left")
    async with services.db.transaction() as connection:
        await services.portal_sessions.end(connection, session)
        await services.journal.record(
            connection,
            Entry(
                client_guid=session.client_guid,
                actor=session.user_guid,
                action="portal.left",
                subject=session.guid,
            ),
        )
    return page


async def show_agreements(request: PortalRequest) -> Response:
    """A page of the signed authorization disclosures of the user."""
    session = request.session
    async with request.services.db.connection() as connection:
        agreements = await request.services.authorization_disclosures.list(
            connection, session.client_guid, session.user_guid, _page_of(request, AGREEMENTS_ON_A_PAGE)
        )
    return await request.page("agreements", agreements=agreements)


def _page_of(request: PortalRequest, size: int) -> PageRequest:
    return PageRequest(number(request.query.get("page")) or 1, size)


async def _overview(request: PortalRequest) -> Overview:
    async with request.services.db.connection() as connection:
        return await overview(connection, request.services.grants, request.session)


async def _grant(request: PortalRequest) -> Grant:
    """The grant in the path.

    Raises:
        NotFound: the user has no such grant.
    """
    return await _find_grant(request, request.path["grant"])


async def _find_grant(request: PortalRequest, guid: str) -> Grant:
    session = request.session
    filters = GrantFilter(client_guid=session.client_guid, user_guid=session.user_guid, guid=guid)
    async with request.services.db.connection() as connection:
        return await request.services.grants.find(connection, filters)


def _chosen(request: PortalRequest, found: Overview) -> Mapping[str, str]:
    """What to stop: one grant, everything, or what a processor, a bank and an account select together.

    Raises:
        NotFound: it is not the user's.
        InvalidRequest: nothing is named.
    """
    known = {
        "grant": {grant.guid for reader in found.readers for grant in reader.grants},
        "processor_guid": {reader.guid for reader in found.readers},
        "member_guid": {bank.member.guid for bank in found.banks},
        "account_guid": set(found.accounts),
        EVERYTHING: {"yes"},
    }
    chosen = {name: value for name in known if (value := request.field(name))}
    if not chosen:
        raise InvalidRequest
    if any(value not in known[name] for name, value in chosen.items()):
        raise NotFound
    return chosen


def _stopped_name(found: Overview, chosen: Mapping[str, str]) -> str:
    """The name of what is stopped, as the overview shows it; empty for everything."""
    if guid := chosen.get("grant"):
        grant = next(each for reader in found.readers for each in reader.grants if each.guid == guid)
        account = found.accounts.get(grant.account_guid)
        return f"{grant.processor_name}: {account.name}" if account else grant.processor_name
    if guid := chosen.get("processor_guid"):
        return next(reader.name for reader in found.readers if reader.guid == guid)
    if guid := chosen.get("member_guid"):
        return next(bank.member.name for bank in found.banks if bank.member.guid == guid)
    if guid := chosen.get("account_guid"):
        return found.accounts[guid].name or ""
    return ""


def _changes(request: PortalRequest, grant: Grant) -> Changes:
    """The changes that the form asks for. A field that shows what is already so changes nothing."""
    chosen = {Permission(value) for value in request.form.get("permissions", ()) if value in [*Permission]}
    ends_on = request.field("ends_on")
    ends_at = grant.expires_at
    # The form has a date and the grant an instant: the date that it showed changes nothing.
    if ends_on and ends_on != grant.expires_at.date().isoformat():
        try:
            ends_at = datetime.fromisoformat(ends_on).replace(tzinfo=UTC)
        except ValueError:
            raise InvalidRequest from None
    return Changes(
        permissions=chosen,
        max_reads=_limit(request, "max_reads"),
        lookback_days=_limit(request, "lookback_days"),
        expires_at=ends_at,
    )


def _limit(request: PortalRequest, name: str) -> Limit:
    found = optional_number(request.field(name))
    return UNSET if found is None else found


def _names(request: PortalRequest) -> Mapping[str, object]:
    """Functions that name what a page shows, in the language of the session."""
    locale = request.session.locale
    return {
        "permission_name": lambda value: translate(locale, PERMISSIONS.get(value, value)),
        "read_name": lambda value: translate(locale, READS.get(value, value)),
        "state_name": lambda value: translate(locale, STATES[value]),
        "connection_name": lambda value: translate(locale, CONNECTIONS.get(value, INTERRUPTED)),
    }
