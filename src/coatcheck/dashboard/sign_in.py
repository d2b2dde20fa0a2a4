"""The pages with which staff sign in: by passkey, with the identity provider, or with an invitation.

    GET page        begins a sign-in: its secret is in a cookie, its challenge in the page
    POST page       the answer of a passkey --> session
    GET provider    begins a sign-in, and leads to the identity provider
    GET return      the provider's answer --> session

A session always has a new secret, and the one that the browser had before ends (OWASP: session fixation).
"""

import re
import secrets
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from coatcheck.app import Services
from coatcheck.dashboard.cookies import SESSION, SIGN_IN, cookie_name, set_cookie, signed_in
from coatcheck.dashboard.endpoint import PublicRequest, PublicRoute
from coatcheck.dashboard.request import render
from coatcheck.dashboard.texts import INVITATION_OVER, translate
from coatcheck.db.database import Connection
from coatcheck.errors import NotFound, SignInFailed
from coatcheck.http.forms import read_form
from coatcheck.http.headers import NO_STORE
from coatcheck.identity_provider import LEEWAY, Identity
from coatcheck.staff.addresses import HOME, INVITATION_PATH, has_passkeys, origin
from coatcheck.staff.people import StaffMember
from coatcheck.staff.sign_ins import Purpose, SignIn

LOCAL_PATH = re.compile(rf"{HOME}(?:[/?][!-\[\]-~]{{0,1000}})?")
"""A path of the dashboard: without a host, and without a backslash, which browsers read as a slash. It is not long,
because it is stored for whoever begins a sign-in."""
LOOPBACK = {"127.0.0.1", "::1"}


async def show_sign_in(public: PublicRequest) -> Response:
    """The page from which staff sign in."""
    services, request = public.services, public.request
    next_path = local_path(request.query_params.get("next"))
    # A passkey belongs to a domain, so that this machine is `localhost`. At its address the browser would refuse it.
    if request.url.hostname in LOOPBACK:
        address = f"{origin(services.settings)}{request.url.path}?{urlencode({'next': next_path})}"
        return RedirectResponse(address, 303, NO_STORE)
    async with services.db.connection() as connection:
        secret = await services.staff.sign_ins.begin(connection, Purpose.SIGN_IN, next_path=next_path)
    passkeys = services.staff.passkeys
    response = render(
        "sign_in",
        public.locale,
        static=public.static,
        options=passkeys.request_options(services.staff.sign_ins.challenge(secret)),
        has_passkeys=has_passkeys(services.settings),
        has_provider=services.staff.identity_provider.is_configured,
        next_path=next_path,
    )
    set_cookie(response, services, SIGN_IN, secret)
    return response


async def sign_in(public: PublicRequest) -> Response:
    """The answer of a passkey to the page.

    Raises:
        SignInFailed: it is not valid, or the page is too old.
        ClonedPasskey: the passkey was copied.
    """
    services, secret = public.services, begun(public)
    form = await read_form(public.request)
    async with services.db.transaction() as connection:
        found = await finish(services, connection, secret, Purpose.SIGN_IN)
        guid = await services.staff.passkeys.authenticate(
            connection, services.staff.sign_ins.challenge(secret), form.get("response", ("",))[0]
        )
        return await _signed_in(public, connection, guid, found.next_path, method="passkey")


async def lead_to_provider(public: PublicRequest) -> Response:
    """Begins a sign-in with the identity provider."""
    next_path = local_path(public.request.query_params.get("next"))
    return await begin_at_provider(public.services, Purpose.SIGN_IN, next_path=next_path)


async def return_from_provider(public: PublicRequest) -> Response:
    """The answer of the identity provider, for each purpose.

    Raises:
        SignInFailed: it refused, its answer belongs to another browser, or nobody was invited under this identity.
    """
    services, secret, query = public.services, begun(public), public.request.query_params
    sign_ins = services.staff.sign_ins
    # Before the sign-in is used up, which a forged address must not end. In bytes: `compare_digest` refuses text that
    # is not ASCII.
    if not secrets.compare_digest(query.get("state", "").encode(), sign_ins.state(secret).encode()):
        raise SignInFailed(detail="state")
    async with services.db.connection() as connection:
        found = await sign_ins.finish(connection, secret)
    if (code := query.get("code")) is None:
        raise SignInFailed(detail=f"identity provider: {query.get('error', '')[:100]}")
    # No transaction is open while the provider is asked.
    identity = await services.staff.identity_provider.identity(
        code, nonce=sign_ins.nonce(secret), code_verifier=sign_ins.code_verifier(secret)
    )
    async with services.db.transaction() as connection:
        if found.purpose is Purpose.CONFIRM:
            return await _confirmed(public, connection, found, identity)
        if found.purpose is Purpose.JOIN:
            assert found.staff_guid is not None
            await services.staff.people.use_invitation(connection, found.staff_guid, begun_at=found.begun_at)
            await services.staff.people.bind(connection, found.staff_guid, identity.subject)
            guid = found.staff_guid
        elif found.purpose is Purpose.SIGN_IN:
            guid = (await services.staff.people.identified(connection, identity.subject, identity.claim)).guid
        else:
            raise SignInFailed(detail=f"a sign-in for {found.purpose}")
        return await _signed_in(public, connection, guid, found.next_path, method="identity provider")


async def show_invitation(public: PublicRequest) -> Response:
    """The page behind an invitation. It asks first, because programs that preview links must not use it up."""
    services = public.services
    async with services.db.connection() as connection:
        try:
            staff = await _invited(public, connection)
        except NotFound:
            return _invitation_over(public)
        secret = await services.staff.sign_ins.begin(
            connection, Purpose.JOIN, staff_guid=staff.guid, next_path=HOME
        )
    response = render(
        "invitation",
        public.locale,
        static=public.static,
        invited=staff,
        options=services.staff.passkeys.creation_options(
            staff, services.staff.sign_ins.challenge(secret), []
        ),
        has_passkeys=has_passkeys(services.settings),
        has_provider=services.staff.identity_provider.is_configured,
        invitation=f"{INVITATION_PATH}{public.request.path_params['secret']}",
    )
    set_cookie(response, services, SIGN_IN, secret)
    return response


async def accept_invitation(public: PublicRequest) -> Response:
    """Registers the first passkey of a person, and signs them in.

    Raises:
        SignInFailed: the passkey's answer is not valid, or the page is too old.
    """
    services, secret = public.services, begun(public)
    form = await read_form(public.request)
    try:
        async with services.db.transaction() as connection:
            found = await finish(services, connection, secret, Purpose.JOIN)
            staff = await _invited(public, connection)
            if staff.guid != found.staff_guid:
                raise SignInFailed(detail="invitation of another person")
            await services.staff.people.use_invitation(connection, staff.guid, begun_at=found.begun_at)
            await services.staff.passkeys.register(
                connection, staff, services.staff.sign_ins.challenge(secret), form.get("response", ("",))[0]
            )
            return await _signed_in(public, connection, staff.guid, HOME, method="passkey")
    except NotFound:
        return _invitation_over(public)


async def lead_invited_to_provider(public: PublicRequest) -> Response:
    """Begins a sign-in with the identity provider, whose account becomes that of the invited person."""
    async with public.services.db.connection() as connection:
        try:
            staff = await _invited(public, connection)
        except NotFound:
            return _invitation_over(public)
    return await begin_at_provider(public.services, Purpose.JOIN, staff_guid=staff.guid, next_path=HOME)


PUBLIC_ROUTES = (
    PublicRoute("GET", "/sign-in", show_sign_in),
    PublicRoute("POST", "/sign-in", sign_in),
    PublicRoute("GET", "/sign-in/provider", lead_to_provider),
    PublicRoute("GET", "/sign-in/return", return_from_provider),
    PublicRoute("GET", "/invitation/{secret}", show_invitation),
    PublicRoute("POST", "/invitation/{secret}", accept_invitation),
    PublicRoute("GET", "/invitation/{secret}/provider", lead_invited_to_provider),
)
"""The pages that need no session. Every other page names a permission (`routes/`)."""


async def begin_at_provider(
    services: Services, purpose: Purpose, *, staff_guid: str | None = None, next_path: str
) -> Response:
    """Leads the browser to the identity provider.

    Raises:
        NotFound: no provider is configured.
        Unavailable: it does not answer.
    """
    if not services.staff.identity_provider.is_configured:
        raise NotFound
    sign_ins = services.staff.sign_ins
    async with services.db.connection() as connection:
        secret = await sign_ins.begin(connection, purpose, staff_guid=staff_guid, next_path=next_path)
    url = await services.staff.identity_provider.sign_in_url(
        state=sign_ins.state(secret),
        nonce=sign_ins.nonce(secret),
        code_verifier=sign_ins.code_verifier(secret),
        is_again=purpose is Purpose.CONFIRM,
    )
    response = RedirectResponse(url, 303, {**NO_STORE, "Referrer-Policy": "no-referrer"})
    set_cookie(response, services, SIGN_IN, secret)
    return response


async def finish(services: Services, connection: Connection, secret: str, purpose: Purpose) -> SignIn:
    """Uses a sign-in up.

    Raises:
        SignInFailed: it is unknown, used or expired, or was begun for another purpose.
    """
    found = await services.staff.sign_ins.finish(connection, secret)
    if found.purpose is not purpose:
        raise SignInFailed(detail=f"a sign-in for {found.purpose}")
    return found


def local_path(text: str | None) -> str:
    """A path of the dashboard to which a parameter of a URL may lead; the home page in place of anything else."""
    return text if text and LOCAL_PATH.fullmatch(text) else HOME


def begun(public: PublicRequest) -> str:
    """The secret of the sign-in that this browser began; empty if it began none."""
    return public.request.cookies.get(cookie_name(public.services, SIGN_IN), "")


async def _signed_in(
    public: PublicRequest, connection: Connection, staff_guid: str, next_path: str, *, method: str
) -> Response:
    services = public.services
    old = public.request.cookies.get(cookie_name(services, SESSION), "")
    await services.staff.sessions.end_secret(connection, old)
    started = await services.staff.sessions.start(connection, staff_guid, method=method)
    return signed_in(services, started, next_path)


async def _confirmed(
    public: PublicRequest, connection: Connection, found: SignIn, identity: Identity
) -> Response:
    """Confirms the session, if the person of the session has authenticated at the provider since it asked."""
    services = public.services
    session = await services.staff.sessions.find(
        connection, public.request.cookies.get(cookie_name(services, SESSION), "")
    )
    staff = await services.staff.people.identified(connection, identity.subject, identity.claim)
    at = identity.authenticated_at
    # A provider may ignore `max_age` and answer from a session of its own: `auth_time` tells (OpenID Connect Core
    # 3.1.2.1).
    if staff.guid != session.staff_guid or at is None or at < found.begun_at.timestamp() - LEEWAY:
        raise SignInFailed(detail="confirmed by another person, or long ago")
    started = await services.staff.sessions.confirm(connection, session, method="identity provider")
    return signed_in(services, started, found.next_path)


async def _invited(public: PublicRequest, connection: Connection) -> StaffMember:
    secret = public.request.path_params["secret"]
    return await public.services.staff.people.invited(connection, secret)


def _invitation_over(public: PublicRequest) -> Response:
    title, text = (translate(public.locale, each) for each in INVITATION_OVER)
    return render("message", public.locale, static=public.static, http_status=410, title=title, text=text)
