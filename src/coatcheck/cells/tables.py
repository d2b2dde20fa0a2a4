"""Which tables a user's data is in, what each cell has a copy of, and what stays where it was written."""

from dataclasses import dataclass

from coatcheck.cells.copying import Rows
from coatcheck.grants.receipts import RECEIPTS_OF_USER
from coatcheck.grants.token_indexes import is_of

OF_NO_USER = "NOT starts_with(owner_guid, 'USR-')"


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows belong to users and move with them."""

    name: str
    owner: str = "user_guid"
    """The column with the guid of the user."""
    names: tuple[str, ...] = ()
    """What a request can name the user by: expressions over a row. Guids, and hashes of secrets in hexadecimal."""
    condition: str = ""
    """Which rows are the user's, where the column alone does not find them."""

    def rows_of(self, user_guid: str) -> Rows:
        return Rows(self.name, self.condition or f"{self.owner} = %(user_guid)s", {"user_guid": user_guid})


def _hex(column: str) -> str:
    return f"encode({column}, 'hex')"


MOVED = (
    Table("end_user", "guid", ("guid",)),
    Table("data_key", "owner_guid"),
    Table("sealed_secret", "owner_guid"),
    Table("authorization_disclosure", names=("guid",)),
    Table("member", names=("guid",)),
    Table("member_authorization"),
    Table("oauth_state", names=("guid",)),
    Table("member_job", names=("guid",)),
    Table("account", names=("guid",)),
    Table("merged_account"),
    Table("blocked_account"),
    Table("transaction"),
    Table("statement", names=("guid",)),
    Table("micro_deposit", names=("guid",)),
    Table("account_number"),
    Table("account_owner"),
    Table("statement_import", names=("guid",)),
    Table("statement_import_account"),
    Table("statement_import_row"),
    Table("former_account"),
    Table("deleted_account"),
    Table("authorization_code", names=(_hex("code_hash"), "setup_token_guid", _hex("setup_token_hash"))),
    Table(
        "access_token",
        condition=is_of("user_guid", alias="access_token"),
        names=(
            "guid",
            _hex("token_hash"),
            _hex("code_hash"),
            "simplefin_access_guid",
            _hex("simplefin_access_hash"),
        ),
    ),
    Table("revocation_receipt", names=("guid",), condition=RECEIPTS_OF_USER),
    Table("link", names=("guid", _hex("link_hash"))),
    Table("widget_session", names=("guid", _hex("session_hash"))),
    Table("portal_session", names=("guid", _hex("session_hash"))),
    Table("disconnection"),
    Table("sandbox_bank_record"),
)
"""In an order in which rows can be inserted: what a foreign key refers to comes first."""

DERIVED = (Table("transaction_week"),)
"""Triggers of another table write it."""

DIRECTORY = (
    Rows("keyring", "true", {}),
    Rows("signing_key", "true", {}),
    Rows("data_key", OF_NO_USER, {}),
    Rows("sealed_secret", OF_NO_USER, {}),
    Rows("client", "true", {}),
    Rows("client_widget", "true", {}),
    Rows("processor", "true", {}),
    Rows("client_processor", "true", {}),
    Rows("api_key", "true", {}),
    Rows("webhook_endpoint", "true", {}),
    Rows("institution_status", "true", {}),
    Rows("institution_client_status", "true", {}),
)
"""What the cell 0 has, and every other cell a copy of, in an order in which rows can be inserted."""

STAYS = frozenset({"disclosure", "deletion_attestation"})
"""Tables about users whose rows do not move: what proves something stays in the cell that sealed or signed it. The user
of an attestation is no more."""
