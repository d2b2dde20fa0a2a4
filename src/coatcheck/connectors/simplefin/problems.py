"""What an account set says of its errors, and which connection status that means."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coatcheck.connectors.json_answers import Row
from coatcheck.errors import ActionNeeded, BankError, BankFailed

ATTENTION = "connection to "
"""How servers of version 1 begin the text about a connection that the user has to repair."""
# It says that there may be older transactions, which is no failure.
IGNORED = ("act.missingdata",)


@dataclass(frozen=True, slots=True)
class Problem:
    needs_user: bool
    conn_id: str | None = None
    org_name: str | None = None
    is_of_account: bool = False

    def concerns(self, account: Row) -> bool:
        """Whether the account belongs to what has the problem. One of the server concerns every account."""
        if self.conn_id is not None:
            return account.get("conn_id") == self.conn_id
        if self.org_name is not None:
            org = account.get("org")
            return isinstance(org, dict) and org.get("name") == self.org_name
        return not self.is_of_account


def problems_of(answer: Row) -> Sequence[Problem]:
    """The problems in `errlist`, or for a server of version 1 in `errors`."""
    errlist = answer.get("errlist")
    if isinstance(errlist, list) and errlist:
        return [problem for each in errlist if isinstance(each, dict) for problem in _of_version_2(each)]
    errors = answer.get("errors")
    texts = [each for each in errors if isinstance(each, str)] if isinstance(errors, list) else []
    return [_of_version_1(text) for text in texts]


def failure_of(problems: Sequence[Problem], accounts: Sequence[Row]) -> BankError | None:
    """The error that the run ends with: a problem that concerns every account.

    A problem of one connection of several leaves the others readable.
    """
    for problem in problems:
        if all(problem.concerns(account) for account in accounts) and (accounts or not problem.is_of_account):
            return ActionNeeded() if problem.needs_user else BankFailed()
    return None


def _of_version_2(error: Row) -> Iterator[Problem]:
    code = error.get("code")
    if not isinstance(code, str) or code in IGNORED:
        return
    conn_id = error.get("conn_id")
    yield Problem(
        needs_user=code.endswith(".auth"),
        conn_id=conn_id if isinstance(conn_id, str) and not code.startswith("act.") else None,
        is_of_account=code.startswith("act."),
    )


def _of_version_1(text: str) -> Problem:
    if text.casefold().startswith(ATTENTION):
        name = text[len(ATTENTION) :].partition(" may need attention")[0]
        return Problem(needs_user=True, org_name=name)
    return Problem(needs_user=False)
