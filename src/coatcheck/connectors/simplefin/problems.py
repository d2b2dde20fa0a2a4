"""What an account set says of its errors, and which connection status that means."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coatcheck.connectors.json_answers import Row
from coatcheck.connectors.simplefin.rows import text
from coatcheck.errors import ActionNeeded, BankError, BankFailed

ATTENTION = "connection to "
"""How servers of version 1 begin the text about a connection that the user has to repair."""
REAUTHENTICATE = "reauthenticate"
"""A word of the text with which version 1 of the protocol asks the user to sign in: `You must reauthenticate.`"""


@dataclass(frozen=True, slots=True)
class Problem:
    needs_user: bool = False
    conn_id: str | None = None
    org_name: str | None = None
    account_id: str | None = None
    is_of_account: bool = False
    is_of_request: bool = False
    """The server changed what was asked for, such as a range of dates, and answered."""
    hides_accounts: bool = True
    """Accounts may be missing from the answer. False where there may only be older transactions."""

    def concerns(self, account: Row) -> bool:
        """Whether the account belongs to what has the problem. One of the server concerns every account."""
        if self.is_of_account:
            return self.account_id is None or text(account.get("id")) == self.account_id
        if self.conn_id is not None:
            return text(account.get("conn_id")) == self.conn_id
        if self.org_name is not None:
            org = account.get("org")
            return isinstance(org, dict) and self.org_name in {text(org.get("name")), text(org.get("domain"))}
        return True

    def stops_reading(self, account: Row) -> bool:
        """Whether what the server lists of the account is that of an earlier day."""
        return self.hides_accounts and not self.is_of_request and self.concerns(account)


def problems_of(answer: Row) -> Sequence[Problem]:
    """The problems in `errlist`, or for a server of version 1 in `errors`."""
    errlist = answer.get("errlist")
    if isinstance(errlist, list) and errlist:
        return [problem for each in errlist if isinstance(each, dict) for problem in _of_version_2(each)]
    errors = answer.get("errors")
    texts = [each for each in errors if isinstance(each, str)] if isinstance(errors, list) else []
    return [_of_version_1(each) for each in texts]


def failure_of(problems: Sequence[Problem], accounts: Sequence[Row]) -> BankError | None:
    """The error that the run ends with: every account has a problem of the server or of its connection.

    A problem of one connection of several, or of an account, leaves the others readable.
    """
    failing = [each for each in problems if not each.is_of_account and not (each.is_of_request and accounts)]
    if not failing or not all(any(each.concerns(account) for each in failing) for account in accounts):
        return None
    return ActionNeeded() if any(each.needs_user for each in failing) else BankFailed()


def _of_version_2(error: Row) -> Iterator[Problem]:
    code = error.get("code")
    if not isinstance(code, str):
        return
    is_of_account = code.startswith("act.")
    yield Problem(
        needs_user=code.endswith(".auth"),
        conn_id=None if is_of_account else text(error.get("conn_id")) or None,
        account_id=text(error.get("account_id")) or None,
        is_of_account=is_of_account,
        is_of_request=code == "gen.api",
        hides_accounts=code != "act.missingdata",
    )


def _of_version_1(message: str) -> Problem:
    if message.casefold().startswith(ATTENTION):
        name = message[len(ATTENTION) :].partition(" may need attention")[0]
        return Problem(needs_user=True, org_name=name)
    return Problem(needs_user=REAUTHENTICATE in message.casefold())
