"""All endpoints, in the order in which requests are matched and the documentation lists them."""

from coatcheck.api.routes.accounts import ACCOUNTS
from coatcheck.api.routes.institutions import INSTITUTIONS
from coatcheck.api.routes.members import JOBS, MEMBERS
from coatcheck.api.routes.micro_deposits import MICRO_DEPOSITS
from coatcheck.api.routes.processors import PROCESSORS
from coatcheck.api.routes.reference_data import REFERENCE_DATA
from coatcheck.api.routes.route import Route
from coatcheck.api.routes.server import SERVER
from coatcheck.api.routes.tokens import TOKENS
from coatcheck.api.routes.transactions import TRANSACTIONS
from coatcheck.api.routes.users import USERS
from coatcheck.api.routes.widgets import WIDGETS
from coatcheck.http.route import Group

GROUPS: tuple[Group[Route], ...] = (
    PROCESSORS,
    TOKENS,
    USERS,
    INSTITUTIONS,
    MEMBERS,
    JOBS,
    ACCOUNTS,
    TRANSACTIONS,
    MICRO_DEPOSITS,
    REFERENCE_DATA,
    WIDGETS,
    SERVER,
)
ROUTES: tuple[Route, ...] = tuple(route for group in GROUPS for route in group.routes)
