"""A connector for SimpleFIN servers, such as the SimpleFIN Bridge or another Coatcheck.

The end user pastes a setup token. The first run claims it; the access URL is the state of the member. One access feeds
every grant on its accounts: processors read what was stored, and only this connector calls the server.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from coatcheck.connectors.contract import (
    Connector,
    ConnectorContext,
    CredentialField,
    Finished,
    Institution,
    JobKind,
    Session,
    Task,
)
from coatcheck.connectors.json_answers import Row
from coatcheck.connectors.simplefin import rows
from coatcheck.connectors.simplefin.access import SETUP_TOKEN, Access, Budget, claimed_state
from coatcheck.connectors.simplefin.problems import Problem, failure_of, problems_of
from coatcheck.errors import BankDataUnusable

INSTITUTION = Institution(
    code="simplefin",
    guid="INS-fdfe5765-55b9-4855-a3c2-10dedaae9b02",
    name="SimpleFIN",
    url="https://www.simplefin.org",
    supports=frozenset({JobKind.AGGREGATION, JobKind.HISTORY, JobKind.BALANCE}),
    credentials=(
        CredentialField(
            "CRD-8accbff9-84b3-47b0-b770-a51d67a57d20", SETUP_TOKEN, "PASSWORD", "Setup token", 1
        ),
    ),
    instructional_text="Create a setup token at your SimpleFIN server and paste it here. It works once.",
)
WINDOW = timedelta(days=90)
"""The longest range of dates that servers answer at once."""
MAX_ACCOUNTS = 1_000


@dataclass(frozen=True)
class SimplefinSettings:
    daily_budget: int = 24
    """Requests for each access URL on one day, in UTC. The SimpleFIN Bridge permits 24."""
    reserved_for_users: int = 6
    """Of these, how many background jobs leave to runs that a user waits for."""

    def __post_init__(self) -> None:
        if not 0 <= self.reserved_for_users < self.daily_budget:
            raise ValueError("reserved_for_users must be less than daily_budget")


class SimplefinConnector(Connector):
    settings_type = SimplefinSettings

    def __init__(self, context: ConnectorContext[SimplefinSettings]) -> None:
        super().__init__(context)
        settings = context.settings
        self._budget = Budget(settings.daily_budget, settings.reserved_for_users)

    def institutions(self) -> Sequence[Institution]:
        return (INSTITUTION,)

    async def run(self, session: Session) -> Finished:
        # Guarded: the end user gave the address.
        http = self._http.guarded
        access = Access(session, http, await claimed_state(session, http), self._budget)
        hides_accounts, unread, unread_transactions = False, set[str](), set[str]()
        for number, query in enumerate(_queries(session.task)):
            listed, problems = _checked(await access.accounts(query))
            hides_accounts |= any(each.hides_accounts for each in problems)
            accounts = await access.with_ids(listed)
            if number == 0:
                found = (rows.account(row, id) for id, row in accounts)
                await session.add_accounts(each for each in found if each is not None)
                unread = {id for id, _ in accounts}
            unread_transactions |= await _add_transactions(session, accounts, problems)
        # An account behind a broken connection is missing from the answer, and is not closed.
        return Finished(
            lists_all_accounts=not hides_accounts,
            unread_accounts=unread,
            unread_transactions=unread_transactions,
        )


def _queries(task: Task) -> Iterator[list[tuple[str, str]]]:
    """The query of each request, the newest window first."""
    if not task.wants_transactions:
        yield [("balances-only", "1"), ("version", "2")]
        return
    end = datetime.combine(task.now.date() + timedelta(days=1), time(), UTC)
    # A day less than a multiple of the window: what is a day too old is not worth another request.
    since = datetime.combine(task.since + timedelta(days=1), time(), UTC)
    is_newest = True
    while since < end:
        start = max(since, end - WINDOW)
        query = [("start-date", _seconds(start)), ("pending", "1"), ("version", "2")]
        # The newest window has no end: pending payments can be dated in the future.
        yield query if is_newest else [*query, ("end-date", _seconds(end))]
        end, is_newest = start, False


def _seconds(instant: datetime) -> str:
    return str(int(instant.timestamp()))


def _checked(answer: Row) -> tuple[Sequence[Row], Sequence[Problem]]:
    """The accounts of an answer, and its problems.

    Raises:
        BankError: a problem concerns every account.
    """
    listed = answer.get("accounts")
    if not isinstance(listed, list) or len(listed) > MAX_ACCOUNTS:
        raise BankDataUnusable
    accounts = [row for row in listed if isinstance(row, dict)]
    problems = problems_of(answer)
    if failure := failure_of(problems, accounts):
        raise failure
    return accounts, problems


async def _add_transactions(
    session: Session, accounts: Sequence[tuple[str, Row]], problems: Sequence[Problem]
) -> set[str]:
    """Returns the ids of the accounts whose transactions the server did not read, so that none was removed."""
    if not session.task.wants_transactions:
        return set()
    known, unread = {each.id for each in session.data.accounts}, set[str]()
    for id, row in accounts:
        transactions = row.get("transactions")
        if not isinstance(transactions, list) or any(each.stops_reading(row) for each in problems):
            unread.add(id)
        if id in known and isinstance(transactions, list):
            found = [each for each in transactions if isinstance(each, dict)]
            await session.add_transactions(rows.transaction(each, id, rows.currency(row)) for each in found)
    return unread
