"""A request to the dashboard, and the page that answers it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse, RedirectResponse, Response

from coatcheck.app import Services
from coatcheck.dashboard.permissions import Permission, may
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.http.forms import Form
from coatcheck.http.headers import NO_STORE, Policy, page_headers
from coatcheck.http.pages import environments
from coatcheck.http.query import read_text
from coatcheck.staff.addresses import HOME
from coatcheck.staff.sessions import StaffSession

ENVIRONMENTS = environments("dashboard")

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class MenuEntry:
    path: str
    text: str
    """In English."""


@dataclass(frozen=True, slots=True)
class DashboardRequest:
    """The input of a handler. What a handler reads of a client or a processor starts at the person's organisation."""

    services: Services
    session: StaffSession
    secret: str = field(repr=False)
    """The secret of the session."""
    route_path: str
    path: Mapping[str, str]
    query: QueryParams
    form: Form = field(repr=False)
    locale: str
    static: str
    """The path below which the dashboard's files are served."""
    menu: Sequence[MenuEntry]
    cookies: Mapping[str, str] = field(repr=False)

    @property
    def actor(self) -> str:
        """Who makes a change, in the audit log."""
        return self.session.staff_guid

    @property
    def organisation_guid(self) -> str:
        """The client or the processor whose staff the person is.

        Raises:
            NotFound: they are the operator's staff.
        """
        return self._organisation("")

    @property
    def client_guid(self) -> str:
        """The client whose staff the person is.

        Raises:
            NotFound: they are not the staff of a client.
        """
        return self._organisation("CLT-")

    @property
    def processor_guid(self) -> str:
        """The processor whose staff the person is.

        Raises:
            NotFound: they are not the staff of a processor.
        """
        return self._organisation("PPR-")

    def field(self, name: str) -> str:
        """The value of a field of the form, or of the query; empty if it has none."""
        values = self.form.get(name)
        return values[0] if values else self.query.get(name, "")

    def filter(self, name: str) -> str | None:
        """The value of a parameter of the URL by which a list is filtered; None if it is absent or empty.

        Raises:
            InvalidRequest: it is too long, or no text that the database can store.
        """
        return read_text(self.query.multi_items(), name)

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        """The value of a field that is one of these.

        Raises:
            InvalidRequest: it is none of them.
        """
        try:
            return choices(self.field(name))
        except ValueError:
            raise InvalidRequest from None

    def optional_choice(self, name: str, choices: type[Choice]) -> Choice | None:
        """As `choice`; None if the field is empty."""
        return self.choice(name, choices) if self.field(name) else None

    def may(self, permission: Permission) -> bool:
        return may(self.session.role, permission)

    def page(self, name: str, **values: Any) -> Response:
        """The page of a template, with these values."""
        return render(
            name,
            self.locale,
            static=self.static,
            staff=self.session,
            menu=self.menu,
            here=self.route_path,
            query=self.query,
            may=self.may,
            permissions=Permission,
            form_token=self.services.staff.sessions.form_token(self.secret),
            **values,
        )

    def redirect(self, path: str) -> Response:
        """To another page of the dashboard, after a change.

        Args:
            path: below `/dashboard`.
        """
        return RedirectResponse(HOME + path, 303, NO_STORE)

    def _organisation(self, prefix: str) -> str:
        guid = self.session.organisation_guid
        if guid is None or not guid.startswith(prefix):
            raise NotFound
        return guid


def render(name: str, locale: str, *, static: str, http_status: int = 200, **values: Any) -> Response:
    """The page of a template in this locale."""
    html = (
        ENVIRONMENTS[locale]
        .get_template(f"{name}.html")
        .render(lang=locale, home=HOME, static=static, **values)
    )
    return HTMLResponse(html, http_status, page_headers(Policy.DASHBOARD))
