"""What everyone has: the confirmation of who they are, their passkeys, and signing out."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from starlette.responses import Response

from coatcheck.dashboard.cookies import SESSION, SIGN_IN, cookie_name, remove_cookie, set_cookie, signed_in
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.sign_in import begin_at_provider, finish, local_path
from coatcheck.errors import NotFound, SignInFailed
from coatcheck.staff.addresses import HOME, has_passkeys
from coatcheck.staff.sign_ins import Purpose


async def show_confirmation(request: DashboardRequest) -> Response:
    """Asks who the person is once more, and leads back."""
    services, session = request.services, request.session
    next_path = local_path(request.query.get("next"))
    async with services.db.connection() as connection:
        passkeys = await services.staff.passkeys.list(connection, session.staff_guid)
        secret = await services.staff.sign_ins.begin(
            connection, Purpose.CONFIRM, staff_guid=session.staff_guid, next_path=next_path
        )
    allowed = [passkey.credential_id for passkey in passkeys if not passkey.is_disabled]
    response = request.page(
        "confirm",
        options=services.staff.passkeys.request_options(services.staff.sign_ins.challenge(secret), allowed),
        has_passkeys=bool(allowed) and has_passkeys(services.settings),
        has_provider=services.staff.identity_provider.is_configured,
        next_path=next_path,
    )
    set_cookie(response, services, SIGN_IN, secret)
    return response


async def confirm(request: DashboardRequest) -> Response:
    """Confirms the session by the answer of a passkey of its person. The session gets a new secret.

    Raises:
        SignInFailed: the answer is not valid, the page is too old, or the passkey is another person's.
        ClonedPasskey: the passkey was copied.
    """
    services, secret = request.services, _begun(request)
    async with services.db.transaction() as connection:
        found = await finish(services, connection, secret, Purpose.CONFIRM)
        guid = await services.staff.passkeys.authenticate(
            connection, services.staff.sign_ins.challenge(secret), request.field("response")
        )
        # Browsers are shared: the passkey that answers, or the page that was left open, can be a colleague's.
        if not guid == found.staff_guid == request.session.staff_guid:
            raise SignInFailed(detail="passkey of another person")
        started = await services.staff.sessions.confirm(connection, request.session, method="passkey")
    return signed_in(services, started, found.next_path)


async def confirm_at_provider(request: DashboardRequest) -> Response:
    return await begin_at_provider(
        request.services,
        Purpose.CONFIRM,
        staff_guid=request.session.staff_guid,
        next_path=local_path(request.query.get("next")),
    )


async def show_passkeys(request: DashboardRequest) -> Response:
    """The passkeys of the person, and the form that adds one."""
    services, session = request.services, request.session
    async with services.db.connection() as connection:
        staff = await services.staff.people.find(connection, session.staff_guid)
        passkeys = await services.staff.passkeys.list(connection, session.staff_guid)
        secret = await services.staff.sign_ins.begin(
            connection, Purpose.ADD_PASSKEY, staff_guid=staff.guid, next_path=f"{HOME}/passkeys"
        )
    known = [passkey.credential_id for passkey in passkeys]
    response = request.page(
        "passkeys",
        passkeys=[(_text(passkey.credential_id), passkey) for passkey in passkeys],
        options=services.staff.passkeys.creation_options(
            staff, services.staff.sign_ins.challenge(secret), known
        ),
        has_passkeys=has_passkeys(services.settings),
    )
    set_cookie(response, services, SIGN_IN, secret)
    return response


async def add_passkey(request: DashboardRequest) -> Response:
    """Registers another passkey of the person.

    Raises:
        SignInFailed: the answer is not valid, or the page is too old.
    """
    services, secret = request.services, _begun(request)
    async with services.db.transaction() as connection:
        found = await finish(services, connection, secret, Purpose.ADD_PASSKEY)
        if found.staff_guid != request.session.staff_guid:
            raise SignInFailed(detail="page of another person")
        staff = await services.staff.people.find(connection, request.session.staff_guid)
        await services.staff.passkeys.register(
            connection, staff, services.staff.sign_ins.challenge(secret), request.field("response")
        )
    return request.redirect("/passkeys")


async def remove_passkey(request: DashboardRequest) -> Response:
    services = request.services
    async with services.db.transaction() as connection:
        staff = await services.staff.people.find(connection, request.session.staff_guid)
        await services.staff.passkeys.remove(connection, staff, _bytes(request.path["passkey"]))
    return request.redirect("/passkeys")


async def confirm_removal_of_passkey(request: DashboardRequest) -> Response:
    """Asks before a passkey is removed."""
    credential_id = _bytes(request.path["passkey"])
    async with request.services.db.connection() as connection:
        passkeys = await request.services.staff.passkeys.list(connection, request.session.staff_guid)
    passkey = next((each for each in passkeys if each.credential_id == credential_id), None)
    if passkey is None:
        raise NotFound
    return request.page("remove_passkey", passkey=passkey)


async def sign_out(request: DashboardRequest) -> Response:
    services = request.services
    async with services.db.transaction() as connection:
        await services.staff.sessions.end(connection, request.session)
    response = request.redirect("/sign-in")
    remove_cookie(response, services, SESSION)
    return response


def _begun(request: DashboardRequest) -> str:
    return request.cookies.get(cookie_name(request.services, SIGN_IN), "")


def _text(credential_id: bytes) -> str:
    return urlsafe_b64encode(credential_id).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """Raises NotFound if the text is not that of a passkey."""
    try:
        # The decoder ignores padding that is too long.
        return urlsafe_b64decode(text.encode("ascii") + b"==")
    except ValueError:
        raise NotFound from None
