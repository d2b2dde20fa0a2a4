"""Webhook endpoints, and events and deliveries that are partitioned by time (replaces the tables of 0001).

A delivery goes to a receiver: an endpoint, or the webhook URL of a client, which gets MX's events. What was not
delivered yet is copied.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ENDPOINTS = """
CREATE TABLE webhook_endpoint (
    guid text PRIMARY KEY,
    owner_guid text NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    status text NOT NULL,
    authentication text NOT NULL,
    created_at timestamptz(0) NOT NULL
);
CREATE INDEX webhook_endpoint_of_owner ON webhook_endpoint (owner_guid, guid);

-- A receiver that has failed several times in a row rests.
CREATE TABLE failing_receiver (
    guid text PRIMARY KEY,
    failures integer NOT NULL,
    rests_until timestamptz NOT NULL
);
"""

EVENTS = """
ALTER TABLE event RENAME TO old_event;
ALTER TABLE delivery RENAME TO old_delivery;
ALTER INDEX event_pkey RENAME TO old_event_pkey;
ALTER INDEX delivery_pkey RENAME TO old_delivery_pkey;
DROP INDEX delivery_due;

-- The numbers of the events about an object, as one owner sees them.
CREATE TABLE event_sequence (
    owner_guid text NOT NULL,
    object text NOT NULL,
    last integer NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (owner_guid, object)
);

-- The order in which events were announced. A guid does not have it: a seeded sandbox makes guids of its own.
CREATE SEQUENCE event_position;
CREATE TABLE event (
    guid text NOT NULL,
    owner_guid text NOT NULL,
    format text NOT NULL,
    type text NOT NULL,
    object text,
    sequence integer,
    payload text NOT NULL,
    callback_payload text,
    occurred_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    position bigint NOT NULL DEFAULT nextval('event_position'),
    PRIMARY KEY (guid, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX event_of_owner ON event (owner_guid, position);
CREATE TABLE event_rest PARTITION OF event DEFAULT;

CREATE TABLE delivery (
    guid text NOT NULL,
    event_guid text NOT NULL,
    event_at timestamptz NOT NULL,
    receiver_guid text NOT NULL,
    owner_guid text NOT NULL,
    object text,
    position bigint NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    lease_until timestamptz,
    last_attempt_at timestamptz,
    last_status integer,
    last_error text,
    last_answer text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (guid, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX delivery_due ON delivery (receiver_guid, next_attempt_at, position) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX delivery_of_object ON delivery (receiver_guid, object, position)
    WHERE next_attempt_at IS NOT NULL AND object IS NOT NULL;
CREATE INDEX delivery_running ON delivery (receiver_guid) WHERE lease_until IS NOT NULL;
CREATE INDEX delivery_of_owner ON delivery (owner_guid, position, guid);
CREATE INDEX delivery_of_event ON delivery (event_guid);
CREATE TABLE delivery_rest PARTITION OF delivery DEFAULT;

-- A notification at the commit of whatever made a delivery.
CREATE FUNCTION notify_of_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('coatcheck_jobs', 'delivery');
    RETURN NULL;
END $$;
CREATE TRIGGER delivery_made AFTER INSERT ON delivery FOR EACH ROW EXECUTE FUNCTION notify_of_delivery();
"""

COPY = """
INSERT INTO event (guid, owner_guid, format, type, payload, callback_payload, occurred_at, due_at)
SELECT guid, client_guid, 'mx', type, payload, callback_payload, created_at, created_at FROM old_event ORDER BY guid;
INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, position, attempts, next_attempt_at,
                      created_at)
SELECT 'DLV-' || md5(e.guid || e.owner_guid)::uuid, e.guid, e.occurred_at, e.owner_guid, e.owner_guid, e.position,
       d.attempts, d.next_attempt_at, e.occurred_at
FROM old_delivery d JOIN event e ON e.guid = d.event_guid WHERE d.next_attempt_at IS NOT NULL;
DROP TABLE old_delivery;
DROP TABLE old_event;
"""

# Until when the end of codes and tokens was announced.
EXPIRIES = """
CREATE TABLE announced_expiry (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    until timestamptz NOT NULL
);
INSERT INTO announced_expiry (until) VALUES (now());
CREATE INDEX access_token_expiry ON access_token (expires_at);
CREATE INDEX authorization_code_expiry ON authorization_code (expires_at);
"""


def upgrade() -> None:
    for part in (ENDPOINTS, EVENTS, COPY, EXPIRIES):
        op.execute(part)
