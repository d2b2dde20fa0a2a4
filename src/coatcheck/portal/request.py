"""A request to the portal, and the page that answers it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import HTMLResponse, Response

from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.grants.portal_sessions import PortalSession
from coatcheck.http.forms import Form
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.pages import environments
from coatcheck.model.clients import find_client
from coatcheck.model.users import User, find_user
from coatcheck.model.widgets import widget_appearance

ENVIRONMENTS = environments("portal")


@dataclass(frozen=True, slots=True)
class PortalRequest:
    """The input of a handler. Every query starts at the session's user."""

    services: Services
    session: PortalSession
    secret: str = field(repr=False)
    """The secret of the session."""
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Form = field(repr=False)
    static: str
    """The path below which the portal's files are served."""

    @property
    def home(self) -> str:
        return f"/portal/{self.session.guid}"

    async def user(self, connection: Connection) -> User:
        return await find_user(connection, self.session.client_guid, self.session.user_guid)

    def field(self, name: str) -> str:
        """The value of a field of the form, or of the query; empty if it has none."""
        values = self.form.get(name)
        return values[0] if values else self.query.get(name, "")

    async def page(self, name: str, **values: Any) -> Response:
        """The page of a template, with these values."""
        services, session = self.services, self.session
        async with services.db.connection() as connection:
            client = await find_client(connection, session.client_guid)
            appearance = await widget_appearance(connection, session.client_guid)
        return render(
            name,
            session.locale,
            ancestors=appearance.origins,
            client=client.name,
            logo=appearance.logo,
            home=self.home,
            static=self.static,
            form_token=services.portal_sessions.form_token(self.secret),
            **values,
        )


def render(name: str, locale: str, *, ancestors: list[str], **values: Any) -> Response:
    """The page of a template in this locale.

    Args:
        name: the template.
        locale: its language.
        ancestors: the origins that may frame it; empty for this server's own pages.
        values: what the template shows.
    """
    html = ENVIRONMENTS[locale].get_template(f"{name}.html").render(lang=locale, **values)
    # Without origins of the client, no other page may frame it: a click could be led to a button that deletes.
    return HTMLResponse(html, headers=page_headers(Policy.PORTAL, ancestors=" ".join(ancestors) or "'self'"))
