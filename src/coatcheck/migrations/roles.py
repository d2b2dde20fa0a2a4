"""What the role of `serve` and `work` may do in a database whose tables another role owns.

It reads and writes rows. It owns no table, so it can neither change the schema nor switch off a trigger. What is append
only it can read and append to. Partitions are created and dropped for it by functions of the owner.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from coatcheck.db.database import Connection, fetch_all, fetch_one
from coatcheck.errors import ConfigurationError

FUNCTIONS = (
    "create_range_partition(regclass, text, timestamptz, timestamptz)",
    "create_list_partition(regclass, text, integer)",
    "drop_partition(text)",
)
REVISIONS = "alembic_version"


@dataclass(frozen=True, slots=True)
class _Table:
    schema: str
    name: str
    is_view: bool
    is_partition: bool
    is_append_only: bool


@dataclass(frozen=True, slots=True)
class _Role:
    is_self: bool
    owns_tables: bool


async def grant_service_role(connection: Connection, role: str) -> None:
    """Grants the role what `serve` and `work` need, and takes away what else it had on the tables of the owner.

    Args:
        connection: the caller's transaction, as the owner of the tables.
        role: the name of the role.

    Raises:
        ConfigurationError: there is no such role, or it is the owner or owns a table itself.
    """
    found = await fetch_one(
        connection,
        _Role,
        """SELECT r.rolname = current_user AS is_self,
                  EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid AND c.relname = 'audit_event') AS owns_tables
           FROM pg_roles r WHERE r.rolname = %(role)s""",
        {"role": role},
    )
    if found is None:
        raise ConfigurationError(f"The role {role} does not exist. Run `createuser {role}` first.")
    if found.is_self or found.owns_tables:
        raise ConfigurationError(
            f"The role {role} owns the tables. Run `coatcheck migrate` as another role, which owns them,"
            " and set service_role to the role of serve and work."
        )
    tables = await fetch_all(
        connection,
        _Table,
        """SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'v' AS is_view,
                  c.relispartition AS is_partition,
                  EXISTS (SELECT FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
                          WHERE t.tgrelid = c.oid AND f.proname = 'refuse_change') AS is_append_only
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'alembic_version'::regclass)
             AND c.relkind IN ('r', 'p', 'v')""",
    )
    for statement in _statements(tables, sql.Identifier(role)):
        await connection.execute(statement)


def _statements(tables: Sequence[_Table], role: sql.Identifier) -> Iterator[sql.Composed]:
    schema = sql.Identifier(tables[0].schema)
    yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role)
    yield sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {} TO {}").format(schema, role)
    for function in FUNCTIONS:
        yield sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(function), role)
    for table in tables:
        name = sql.Identifier(table.schema, table.name)
        yield sql.SQL("REVOKE ALL ON {} FROM {}").format(name, role)
        yield sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(_privileges(table)), name, role)


def _privileges(table: _Table) -> LiteralString:
    # Rows are written through the partitioned table. A partition itself is only looked into, before one is created.
    if table.is_view or table.is_partition or table.name == REVISIONS:
        return "SELECT"
    if table.is_append_only:
        return "SELECT, INSERT"
    return "SELECT, INSERT, UPDATE, DELETE"
