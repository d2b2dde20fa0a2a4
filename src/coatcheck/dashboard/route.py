"""The table of pages: each row names what one must be permitted to do. A table with a gap cannot be imported."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from starlette.responses import Response

from coatcheck.dashboard.permissions import PERMISSIONS, Permission
from coatcheck.dashboard.request import DashboardRequest

Handler: TypeAlias = Callable[[DashboardRequest], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class DashboardRoute:
    method: str
    path: str
    """Below `/dashboard`."""
    handler: Handler
    permission: Permission
    menu: str | None = None
    """The text of its entry in the menu, in English; None: it has none."""
    needs_confirmation: bool = False
    """Whether the person must have authenticated within the last minutes: for keys and revocation. A POST also needs a
    GET of the same path, to which the person comes back when they have confirmed who they are."""
    has_deadline: bool = True
    is_file: bool = False
    """Whether it answers with a file to download instead of a page."""

    def __post_init__(self) -> None:
        if self.permission not in PERMISSIONS:
            raise TypeError(f"{self.operation} has no permission of the table in permissions.py.")

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"


def sensitive(
    path: str, ask: Handler, act: Handler, permission: Permission
) -> tuple[DashboardRoute, DashboardRoute]:
    """The two routes of a change that needs a confirmation: the page with its form, and what the form does."""
    return (
        DashboardRoute("GET", path, ask, permission, needs_confirmation=True),
        DashboardRoute("POST", path, act, permission, needs_confirmation=True),
    )


def checked(routes: Sequence[DashboardRoute]) -> tuple[DashboardRoute, ...]:
    """The routes of a table.

    Raises:
        TypeError: two have the same method and path, or a POST that needs a confirmation has no page to come back to.
    """
    places = Counter(route.operation for route in routes)
    if twice := [place for place, count in places.items() if count > 1]:
        raise TypeError(f"Declared twice: {', '.join(twice)}.")
    for route in routes:
        if route.needs_confirmation and f"GET {route.path}" not in places:
            raise TypeError(f"{route.operation} needs a confirmation, and there is no GET {route.path}.")
    return tuple(routes)
