"""What a connector's tests say of the connector and of its simulated institution."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from coatcheck.connectors.contract import Connector, JobKind, Question
from coatcheck.testing.faults import Faults


class ConnectorUnderTest(ABC):
    """A connector with a simulated institution. Subclass it in the connector's tests."""

    institution_code: str
    credentials: Mapping[str, str]
    """Lead to at least one account with transactions, without a question."""
    credentials_with_question: Mapping[str, str] | None = None
    """Lead to a question; None if the institution asks none."""
    credentials_without_accounts: Mapping[str, str] | None = None
    """Lead to a login that has no accounts; None if there can be none."""
    credentials_with_unusable_rows: Mapping[str, str] | None = None
    """Lead to transactions with a NUL, with a text of more than a thousand characters and with an id that comes
    twice, beside usable ones; None if the simulation cannot do that."""
    disconnects: bool = False
    """As `Connector.has_disconnect`. Implement `has_access` then."""
    lists_unreadable_accounts: bool = False
    """Whether the institution can list an account and not give its data. Implement `make_account_unreadable` then."""
    kinds: Sequence[JobKind] = tuple(JobKind)
    """Kinds of job to check, as far as the institution supports them."""

    @property
    def has_access(self) -> bool:
        """Whether the simulated institution would still let the connector read the member. For `has_disconnect`."""
        raise NotImplementedError

    def make_account_unreadable(self) -> None:
        """From now on the simulated institution lists one of the accounts without its data, and the others with it.

        For `lists_unreadable_accounts`.
        """
        raise NotImplementedError

    @abstractmethod
    def reset(self) -> None:
        """Resets the simulated institution to its first state."""

    @abstractmethod
    def build(self, faults: Faults) -> Connector:
        """The connector, as a new process builds it. It must not share state with a connector that was built before."""

    def answer(self, question: Question) -> str:
        """The right answer."""
        raise NotImplementedError

    def wrong_answer(self, question: Question) -> str | None:  # noqa: ARG002 (a default)
        """A wrong answer; None if the simulation accepts every answer."""
        return None
