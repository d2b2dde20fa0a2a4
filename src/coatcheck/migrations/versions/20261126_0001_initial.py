"""Every table of the first version (pre-deploy).

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CLIENTS_AND_USERS = """
CREATE TABLE client (
    guid text PRIMARY KEY,
    name text NOT NULL,
    webhook_url text,
    is_disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz(0) NOT NULL
);

CREATE TABLE client_widget (
    client_guid text PRIMARY KEY REFERENCES client,
    origins text[] NOT NULL DEFAULT '{}',
    accent_color text,
    logo text,
    privacy_url text
);

CREATE TABLE processor (
    guid text PRIMARY KEY,
    name text NOT NULL,
    owners_at_transactions boolean NOT NULL DEFAULT false,
    numbers_as_strings boolean NOT NULL DEFAULT false,
    is_disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz(0) NOT NULL
);

CREATE TABLE client_processor (
    client_guid text NOT NULL REFERENCES client,
    processor_guid text NOT NULL REFERENCES processor,
    enabled_at timestamptz(0) NOT NULL,
    PRIMARY KEY (client_guid, processor_guid)
);

CREATE TABLE api_key (
    key_hash bytea PRIMARY KEY,
    owner_guid text NOT NULL,
    last_characters text NOT NULL,
    created_at timestamptz(0) NOT NULL,
    expires_at timestamptz(0)
);
CREATE INDEX api_key_owner ON api_key (owner_guid);

CREATE TABLE end_user (
    guid text PRIMARY KEY,
    client_guid text NOT NULL REFERENCES client,
    id text,
    email text,
    metadata text,
    is_disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz(0) NOT NULL,
    UNIQUE (client_guid, id)
);
CREATE INDEX end_user_of_client ON end_user (client_guid, created_at, guid);
"""

MEMBERS = """
CREATE TABLE member (
    user_guid text NOT NULL REFERENCES end_user ON DELETE CASCADE,
    guid text NOT NULL,
    client_guid text NOT NULL,
    institution_code text NOT NULL,
    institution_guid text NOT NULL,
    name text NOT NULL,
    id text,
    metadata text,
    connection_status text,
    is_oauth boolean NOT NULL DEFAULT false,
    is_manual boolean NOT NULL DEFAULT false,
    background_aggregation_is_disabled boolean NOT NULL DEFAULT false,
    use_cases text[],
    login_hash bytea,
    credential_failures integer NOT NULL DEFAULT 0,
    pending_kinds text[] NOT NULL DEFAULT '{}',
    most_recent_job_guid text,
    aggregated_at timestamptz(0),
    successfully_aggregated_at timestamptz(0),
    created_at timestamptz(0) NOT NULL,
    updated_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, guid)
);
CREATE UNIQUE INDEX member_once ON member (user_guid, institution_code, login_hash);
CREATE UNIQUE INDEX member_id_once ON member (user_guid, id);
CREATE INDEX member_due ON member ((coalesce(aggregated_at, created_at)))
    WHERE NOT background_aggregation_is_disabled AND NOT is_manual;
CREATE INDEX member_degraded ON member (aggregated_at) WHERE connection_status = 'DEGRADED';

CREATE TABLE oauth_state (
    user_guid text NOT NULL,
    guid text NOT NULL,
    session_guid text NOT NULL,
    member_guid text NOT NULL,
    auth_status text NOT NULL,
    error_reason text,
    first_retrieved_at timestamptz(0),
    created_at timestamptz(0) NOT NULL,
    updated_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, guid),
    FOREIGN KEY (user_guid, member_guid) REFERENCES member (user_guid, guid) ON DELETE CASCADE
);

CREATE TABLE member_job (
    user_guid text NOT NULL,
    guid text NOT NULL,
    client_guid text NOT NULL,
    member_guid text NOT NULL,
    institution_code text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'ended')),
    attempt integer NOT NULL DEFAULT 0,
    claims integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    waits_until timestamptz(0),
    questions jsonb,
    is_background boolean NOT NULL DEFAULT false,
    include_transactions boolean NOT NULL DEFAULT true,
    follow_ups text[] NOT NULL DEFAULT '{}',
    callback_payload text,
    requested_by text NOT NULL,
    outcome text,
    reason text,
    is_authenticated boolean NOT NULL DEFAULT false,
    has_processed_accounts boolean NOT NULL DEFAULT false,
    has_processed_account_numbers boolean NOT NULL DEFAULT false,
    has_processed_transactions boolean NOT NULL DEFAULT false,
    created_at timestamptz(0) NOT NULL,
    queued_at timestamptz(0) NOT NULL,
    started_at timestamptz(0),
    ended_at timestamptz(0),
    PRIMARY KEY (user_guid, guid),
    FOREIGN KEY (user_guid, member_guid) REFERENCES member (user_guid, guid) ON DELETE CASCADE
);
CREATE UNIQUE INDEX member_job_live ON member_job (user_guid, member_guid) WHERE state <> 'ended';
CREATE INDEX member_job_of_member ON member_job (user_guid, member_guid, created_at DESC);
CREATE INDEX member_job_queued ON member_job (institution_code, client_guid, is_background, created_at, guid)
    WHERE state = 'queued';
CREATE INDEX member_job_running ON member_job (institution_code, lease_until) WHERE state = 'running';
CREATE INDEX member_job_waiting ON member_job (waits_until) WHERE state = 'waiting';
CREATE INDEX member_job_ended ON member_job (ended_at) WHERE state = 'ended';

-- When a client's jobs at an institution were last claimed: the lower the number, the longer ago.
CREATE TABLE job_turn (
    institution_code text NOT NULL,
    client_guid text NOT NULL REFERENCES client ON DELETE CASCADE,
    number bigint NOT NULL,
    PRIMARY KEY (institution_code, client_guid)
);
CREATE SEQUENCE job_turn_number;

CREATE TABLE account (
    user_guid text NOT NULL,
    guid text NOT NULL,
    client_guid text NOT NULL,
    member_guid text NOT NULL,
    id text,
    name text,
    nickname text,
    type text NOT NULL,
    subtype text,
    currency_code text,
    account_number text,
    account_ownership text,
    balance numeric,
    available_balance numeric,
    available_credit numeric,
    apr numeric,
    apy numeric,
    cash_balance numeric,
    cash_surrender_value numeric,
    credit_limit numeric,
    day_payment_is_due integer,
    death_benefit integer,
    federal_insurance_status text,
    interest_rate numeric,
    last_payment numeric,
    last_payment_at timestamptz(0),
    loan_amount numeric,
    matures_on date,
    minimum_balance numeric,
    minimum_payment numeric,
    original_balance numeric,
    payment_due_at timestamptz(0),
    payoff_balance numeric,
    property_type text,
    started_on date,
    statement_balance numeric,
    total_account_value numeric,
    metadata text,
    is_business boolean NOT NULL DEFAULT false,
    is_closed boolean NOT NULL DEFAULT false,
    is_hidden boolean NOT NULL DEFAULT false,
    is_manual boolean NOT NULL DEFAULT false,
    imported_at timestamptz(0),
    created_at timestamptz(0) NOT NULL,
    updated_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, guid),
    FOREIGN KEY (user_guid, member_guid) REFERENCES member (user_guid, guid) ON DELETE CASCADE
);
CREATE UNIQUE INDEX account_once ON account (user_guid, member_guid, id);

CREATE TABLE merged_account (
    user_guid text NOT NULL,
    member_guid text NOT NULL,
    id text NOT NULL,
    merged_into text NOT NULL,
    PRIMARY KEY (user_guid, member_guid, id),
    FOREIGN KEY (user_guid, member_guid) REFERENCES member (user_guid, guid) ON DELETE CASCADE,
    FOREIGN KEY (user_guid, merged_into) REFERENCES account (user_guid, guid) ON DELETE CASCADE
);

CREATE TABLE transaction (
    user_guid text NOT NULL,
    guid text NOT NULL,
    member_guid text NOT NULL,
    account_guid text NOT NULL,
    id text NOT NULL,
    amount numeric NOT NULL,
    type text NOT NULL,
    status text NOT NULL,
    date date NOT NULL,
    transacted_at timestamptz(0),
    posted_at timestamptz(0),
    description text,
    original_description text,
    memo text,
    currency_code text,
    category text NOT NULL,
    category_guid text NOT NULL,
    top_level_category text NOT NULL,
    top_level_category_guid text NOT NULL,
    check_number_string text,
    merchant_guid text,
    merchant_location_guid text,
    merchant_category_code integer,
    extended_transaction_type text,
    recurrence text,
    metadata text,
    is_bill_pay boolean NOT NULL DEFAULT false,
    is_direct_deposit boolean NOT NULL DEFAULT false,
    is_expense boolean NOT NULL DEFAULT false,
    is_fee boolean NOT NULL DEFAULT false,
    is_income boolean NOT NULL DEFAULT false,
    is_international boolean NOT NULL DEFAULT false,
    is_overdraft_fee boolean NOT NULL DEFAULT false,
    is_payroll_advance boolean NOT NULL DEFAULT false,
    is_recurring boolean NOT NULL DEFAULT false,
    is_subscription boolean NOT NULL DEFAULT false,
    city text,
    state text,
    country text,
    postal_code text,
    created_at timestamptz(0) NOT NULL,
    updated_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, guid),
    FOREIGN KEY (user_guid, account_guid) REFERENCES account (user_guid, guid) ON DELETE CASCADE
);
CREATE UNIQUE INDEX transaction_once ON transaction (user_guid, account_guid, id);
CREATE INDEX transaction_by_date ON transaction (user_guid, account_guid, date DESC, guid DESC);

CREATE TABLE statement (
    user_guid text NOT NULL,
    guid text NOT NULL,
    member_guid text NOT NULL,
    account_guid text NOT NULL,
    id text NOT NULL,
    content_hash text NOT NULL,
    created_at timestamptz(0) NOT NULL,
    updated_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, guid),
    FOREIGN KEY (user_guid, account_guid) REFERENCES account (user_guid, guid) ON DELETE CASCADE
);
CREATE UNIQUE INDEX statement_once ON statement (user_guid, account_guid, id);

CREATE TABLE micro_deposit (
    user_guid text NOT NULL REFERENCES end_user ON DELETE CASCADE,
    guid text NOT NULL UNIQUE,
    client_guid text NOT NULL,
    account_type text,
    account_number text,
    institution_code text,
    institution_name text,
    status text NOT NULL,
    error_message text,
    wrong_attempts integer NOT NULL DEFAULT 0,
    account_hash bytea,
    email_hash bytea,
    arrives_at timestamptz(0),
    verified_at timestamptz(0),
    created_at timestamptz(0) NOT NULL,
    updated_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, guid)
);
CREATE UNIQUE INDEX micro_deposit_once ON micro_deposit (user_guid, account_hash);
CREATE INDEX micro_deposit_of_email ON micro_deposit (client_guid, email_hash);
CREATE INDEX micro_deposit_initiated ON micro_deposit (created_at, guid) WHERE status = 'INITIATED';
CREATE INDEX micro_deposit_requested ON micro_deposit (arrives_at) WHERE status = 'REQUESTED';
"""

VAULT = """
CREATE TABLE keyring (
    purpose text PRIMARY KEY,
    master_key_id text NOT NULL,
    wrapped bytea NOT NULL
);

CREATE TABLE data_key (
    owner_guid text PRIMARY KEY,
    master_key_id text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz(0) NOT NULL
);
CREATE INDEX data_key_by_master ON data_key (master_key_id, owner_guid);

CREATE TABLE sealed_secret (
    owner_guid text NOT NULL REFERENCES data_key ON DELETE CASCADE,
    record_guid text NOT NULL,
    kind text NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (owner_guid, record_guid, kind)
);
CREATE INDEX sealed_link ON sealed_secret (record_guid COLLATE "C") WHERE kind = 'LINK';

CREATE TABLE account_number (
    user_guid text NOT NULL,
    guid text NOT NULL,
    member_guid text NOT NULL,
    account_guid text NOT NULL,
    position smallint NOT NULL,
    passed_validation boolean NOT NULL,
    sealed bytea NOT NULL,
    updated_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, guid),
    UNIQUE (user_guid, account_guid, position),
    FOREIGN KEY (user_guid, account_guid) REFERENCES account (user_guid, guid) ON DELETE CASCADE
);

CREATE TABLE account_owner (
    user_guid text NOT NULL,
    guid text NOT NULL,
    member_guid text NOT NULL,
    account_guid text NOT NULL,
    position smallint NOT NULL,
    sealed bytea NOT NULL,
    updated_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, guid),
    UNIQUE (user_guid, account_guid, position),
    FOREIGN KEY (user_guid, account_guid) REFERENCES account (user_guid, guid) ON DELETE CASCADE
);

CREATE TABLE disclosure (
    at timestamptz NOT NULL,
    reader_guid text NOT NULL,
    client_guid text,
    user_guid text NOT NULL,
    record_guid text NOT NULL,
    what text NOT NULL,
    shown integer NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX disclosure_of_user ON disclosure (user_guid, at);
CREATE TABLE disclosure_rest PARTITION OF disclosure DEFAULT;
"""

GRANTS = """
CREATE TABLE authorization_code (
    expires_day integer NOT NULL,
    code_hash bytea NOT NULL,
    client_guid text NOT NULL,
    user_guid text NOT NULL,
    member_guid text NOT NULL,
    account_guid text NOT NULL,
    scope text NOT NULL,
    reads_protected boolean NOT NULL,
    processor_guid text,
    created_at timestamptz(0) NOT NULL,
    expires_at timestamptz(0) NOT NULL,
    redeemed_at timestamptz(0),
    redeemed_by text,
    token_week integer,
    token_hash bytea,
    idempotency_hash bytea,
    sealed_reply bytea,
    PRIMARY KEY (expires_day, code_hash)
) PARTITION BY LIST (expires_day);
CREATE TABLE authorization_code_rest PARTITION OF authorization_code DEFAULT;

CREATE TABLE access_token (
    expires_week integer NOT NULL,
    token_hash bytea NOT NULL,
    guid text NOT NULL,
    client_guid text NOT NULL,
    processor_guid text NOT NULL,
    user_guid text NOT NULL,
    member_guid text NOT NULL,
    account_guid text NOT NULL,
    scope text NOT NULL,
    reads_protected boolean NOT NULL,
    first_characters text NOT NULL,
    created_at timestamptz(0) NOT NULL,
    expires_at timestamptz(0) NOT NULL,
    revoked_at timestamptz(0),
    revoked_because text,
    PRIMARY KEY (expires_week, token_hash)
) PARTITION BY LIST (expires_week);
CREATE INDEX access_token_of_user ON access_token (client_guid, user_guid);
CREATE TABLE access_token_rest PARTITION OF access_token DEFAULT;

CREATE TABLE link (
    expires_day integer NOT NULL,
    link_hash bytea NOT NULL,
    guid text NOT NULL,
    kind text NOT NULL,
    client_guid text NOT NULL,
    user_guid text NOT NULL,
    member_guid text,
    created_at timestamptz(0) NOT NULL,
    expires_at timestamptz(0) NOT NULL,
    opened_at timestamptz(0),
    PRIMARY KEY (expires_day, link_hash)
) PARTITION BY LIST (expires_day);
CREATE TABLE link_rest PARTITION OF link DEFAULT;

CREATE TABLE widget_session (
    expires_day integer NOT NULL,
    session_hash bytea NOT NULL,
    guid text NOT NULL,
    client_guid text NOT NULL,
    user_guid text NOT NULL,
    options text NOT NULL,
    locale text NOT NULL,
    consented_at timestamptz(0),
    selected_account_guid text,
    created_at timestamptz(0) NOT NULL,
    idle_at timestamptz(0) NOT NULL,
    expires_at timestamptz(0) NOT NULL,
    PRIMARY KEY (expires_day, session_hash)
) PARTITION BY LIST (expires_day);
CREATE INDEX widget_session_guid ON widget_session (guid);
CREATE TABLE widget_session_rest PARTITION OF widget_session DEFAULT;

-- A token lives as long as everything it names: deleting or disabling any of it ends the token at once.
CREATE VIEW live_token AS
SELECT t.expires_week, t.token_hash, t.guid, t.client_guid, t.processor_guid, t.user_guid, t.member_guid,
       t.account_guid, t.scope, t.reads_protected, t.expires_at,
       p.owners_at_transactions, p.numbers_as_strings
FROM access_token t
JOIN processor p ON p.guid = t.processor_guid AND NOT p.is_disabled
JOIN client_processor cp ON cp.client_guid = t.client_guid AND cp.processor_guid = t.processor_guid
JOIN client c ON c.guid = t.client_guid AND NOT c.is_disabled
JOIN end_user u ON u.guid = t.user_guid AND NOT u.is_disabled
JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid AND a.member_guid = t.member_guid
WHERE t.revoked_at IS NULL;
"""

EVENTS_AND_AUDIT = """
CREATE TABLE event (
    guid text PRIMARY KEY,
    client_guid text NOT NULL REFERENCES client,
    type text NOT NULL,
    payload text NOT NULL,
    callback_payload text,
    created_at timestamptz(0) NOT NULL
);
CREATE INDEX event_of_client ON event (client_guid, guid);
CREATE INDEX event_by_age ON event (created_at);

CREATE TABLE delivery (
    event_guid text PRIMARY KEY REFERENCES event ON DELETE CASCADE,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz(0),
    delivered_at timestamptz(0),
    gave_up_at timestamptz(0),
    last_answer text
);
CREATE INDEX delivery_due ON delivery (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

CREATE TABLE audit_event (
    at timestamptz(0) NOT NULL,
    guid text NOT NULL,
    client_guid text,
    body text NOT NULL,
    leaf_hash bytea NOT NULL,
    PRIMARY KEY (at, guid)
) PARTITION BY RANGE (at);
CREATE TABLE audit_event_rest PARTITION OF audit_event DEFAULT;

-- Append only, also for the program itself: history is dropped by the month and never changed.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER disclosure_append_only BEFORE UPDATE OR DELETE ON disclosure
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    for part in (CLIENTS_AND_USERS, MEMBERS, VAULT, GRANTS, EVENTS_AND_AUDIT):
        op.execute(part)
