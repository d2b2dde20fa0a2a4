"""Audit entries are stored by column, and a view makes their text (with the new program: the old one stops before).

The text repeated the columns. The hash beside it is that of the text, and a trigger makes it.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

# `at` is exact now. PostgreSQL does not change the type of what a table is partitioned by, so the table is a new one.
TABLE = """
ALTER TABLE audit_event RENAME TO old_audit_event;
ALTER INDEX audit_event_number RENAME TO old_audit_event_number;
ALTER INDEX audit_event_of_client RENAME TO old_audit_event_of_client;
CREATE TABLE audit_event (
    number bigint NOT NULL DEFAULT nextval('audit_number'),
    at timestamptz NOT NULL,
    guid uuid NOT NULL,
    client_guid text,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail text,
    leaf_hash bytea NOT NULL
) PARTITION BY RANGE (at);
DO $$
DECLARE
    part record;
BEGIN
    FOR part IN SELECT c.oid, c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds
                FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'old_audit_event'::regclass LOOP
        EXECUTE format('ALTER TABLE %s RENAME TO %I', part.oid::regclass, 'old_' || part.relname);
        EXECUTE format('CREATE TABLE %I PARTITION OF audit_event %s', part.relname, part.bounds);
    END LOOP;
END $$;
"""

# What follows `detail` is in the order of the sorted keys, so the text is the canonical form.
VIEW = """
CREATE FUNCTION audit_text(
    at timestamptz, guid uuid, client_guid text, actor text, action text, subject text, detail text
) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT '{"action":' || to_json(action)::text || ',"actor":' || to_json(actor)::text
           || ',"at":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US"Z"')
           || '","client_guid":' || coalesce(to_json(client_guid)::text, 'null')
           || ',"detail":' || coalesce(detail, '{}')
           || ',"guid":"AUD-' || guid::text || '","subject":' || to_json(subject)::text || '}'
$$;
CREATE VIEW audit_entry AS
SELECT number, at, 'AUD-' || guid::text AS guid, client_guid, actor, action, subject, coalesce(detail, '{}') AS detail,
       audit_text(at, guid, client_guid, actor, action, subject, detail) AS body, leaf_hash
FROM audit_event;
"""

# An entry whose text would be another one could not be verified any more, so the migration fails instead.
COPY = """
INSERT INTO audit_event (number, at, guid, client_guid, actor, action, subject, detail, leaf_hash)
SELECT number, (body::json ->> 'at')::timestamptz, right(guid, 36)::uuid, client_guid, body::json ->> 'actor',
       body::json ->> 'action', body::json ->> 'subject', nullif((body::json -> 'detail')::text, '{}'),
       leaf_hash
FROM old_audit_event ORDER BY number;
CREATE INDEX audit_event_number ON audit_event (number);
DO $$
BEGIN
    IF EXISTS (SELECT FROM old_audit_event old
               WHERE NOT EXISTS (SELECT FROM audit_entry e WHERE e.number = old.number AND e.body = old.body)) THEN
        RAISE EXCEPTION 'an audit entry would have another text';
    END IF;
END $$;
DROP TABLE old_audit_event;
CREATE INDEX audit_event_of_client ON audit_event ((right(client_guid, 7)), number);
CREATE FUNCTION hash_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.leaf_hash := sha256('\\x00'::bytea || convert_to(
        audit_text(NEW.at, NEW.guid, NEW.client_guid, NEW.actor, NEW.action, NEW.subject, NEW.detail), 'UTF8'));
    RETURN NEW;
END $$;
CREATE TRIGGER audit_event_hashed BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION hash_audit_entry();
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_event_not_truncated BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    for part in (TABLE, VIEW, COPY):
        op.execute(part)
