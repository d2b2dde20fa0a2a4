"""Account sets: what was read, and for what was not, why."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from coatcheck.connectors.registry import Registry
from coatcheck.errors import (
    ConnectionBroken,
    Forbidden,
    InsufficientScope,
    InvalidToken,
    ReadsExhausted,
    TokenExpired,
    TokenRevoked,
)
from coatcheck.grants.access import AccountWithTransactions
from coatcheck.grants.access_urls import AppGrant
from coatcheck.simplefin.errors import ROOT, account_set_without_accounts, item
from coatcheck.simplefin.presenters import (
    Bank,
    account_item,
    bank_of,
    connection_problem,
    connection_response,
    needs_attention,
)
from coatcheck.simplefin.schemas import AccountSet, SimplefinAccount, SimplefinConnection, SimplefinError

MAX_TRANSACTIONS = 10_000
"""Of one account in one answer: the newest. The protocol has no pages; an app can ask for an earlier end."""
INCOMPLETE = (
    f"There may be more than the newest {MAX_TRANSACTIONS} transactions. Ask for an earlier end-date."
)
EXPIRED = "The access has expired. Create a new setup token."
EXHAUSTED = "The number of reads that was allowed is used up. Create a new setup token."
NO_BALANCES = "The access does not include the balances of the account."
ENDED = "The access to the account has ended. Create a new setup token."


@dataclass(frozen=True, slots=True)
class AccountReads:
    """The reads of one request, one for each grant."""

    answered: list[tuple[AppGrant, AccountWithTransactions]] = field(default_factory=list)
    refused: list[tuple[AppGrant, Forbidden | InvalidToken]] = field(default_factory=list)

    @property
    def all_have_ended(self) -> bool:
        """No grant reads now or later. A grant whose connection is broken reads again when that is repaired."""
        return (
            bool(self.refused)
            and not self.answered
            and not any(isinstance(error, ConnectionBroken) for _, error in self.refused)
        )


def account_set(reads: AccountReads, registry: Registry, base_url: str) -> AccountSet:
    root, items = f"{base_url}{ROOT}", list[SimplefinAccount]()
    connections: dict[str, SimplefinConnection] = {}
    # A dict as an ordered set: the accounts of one bank have the same problem.
    problems: dict[SimplefinError, None] = {}
    for grant, read in reads.answered:
        bank = bank_of(grant, registry, base_url)
        items.append(account_item(read, bank, root))
        connections[grant.member_guid] = connection_response(grant, bank, root)
        if problem := connection_problem(grant, bank):
            problems[problem] = None
        if len(read.transactions) >= MAX_TRANSACTIONS:
            problems[item("act.missingdata", INCOMPLETE, account_id=grant.account_guid)] = None
    for grant, error in reads.refused:
        bank = bank_of(grant, registry, base_url)
        connections[grant.member_guid] = connection_response(grant, bank, root)
        problems[_problem(grant, error, bank)] = None
    return AccountSet(
        errors=[each.msg for each in problems],
        errlist=list(problems),
        connections=list(connections.values()),
        accounts=items,
    )


def account_set_of_ended(grants: Sequence[AppGrant]) -> AccountSet:
    """The answer to an access URL all of whose grants were revoked or have expired."""
    texts = dict.fromkeys(EXPIRED if each.revoked_at is None else _revoked(each) for each in grants)
    return account_set_without_accounts([item("gen.auth", text) for text in texts])


def _problem(grant: AppGrant, error: Forbidden | InvalidToken, bank: Bank) -> SimplefinError:
    if isinstance(error, ConnectionBroken):
        return needs_attention(grant, bank)
    return item("act.failed", _why(grant, error), conn_id=grant.member_guid, account_id=grant.account_guid)


def _why(grant: AppGrant, error: Forbidden | InvalidToken) -> str:
    match error:
        case TokenRevoked():
            return _revoked(grant)
        case TokenExpired():
            return EXPIRED
        case ReadsExhausted():
            return EXHAUSTED
        case InsufficientScope():
            return NO_BALANCES
    return ENDED


def _revoked(grant: AppGrant) -> str:
    because = f": {grant.revoked_because.rstrip('.')}" if grant.revoked_because else ""
    return f"The access was revoked{because}."
