"""A user selects several accounts in the widget, and only those can have codes (pre-deploy).

The disclosure of such a selection names the accounts. It belongs to a member, and several can be of one session. The
accounts of a member are NULL where the user agreed for all of them. The program before this one uses the column
`selected_account_guid` of a session.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

SELECTED_ACCOUNTS = """
ALTER TABLE authorization_disclosure ALTER session_guid DROP NOT NULL;
ALTER TABLE member_authorization ADD account_guids text[];
ALTER TABLE widget_session ADD selected_account_guids text[] NOT NULL DEFAULT '{}';
"""


def upgrade() -> None:
    op.execute(SELECTED_ACCOUNTS)
