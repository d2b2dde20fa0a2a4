"""`coatcheck client` and `coatcheck processor`: reading changes nothing, and a change takes effect at once."""

import json

import psycopg
import pytest

from coatcheck.cli.exit_codes import ExitCode
from coatcheck.errors import InvalidClient
from tests.factories import make_account, make_client, make_processor, make_token, make_user


def printed(operator, *arguments):
    return json.loads(operator(*arguments, "--json").out)


async def is_client_key(services, guid, key):
    async with services.db.connection() as connection:
        try:
            return (await services.api_keys.client(connection, guid, key)).guid == guid
        except InvalidClient:
            return False


async def is_processor_key(services, guid, key):
    async with services.db.connection() as connection:
        try:
            return (await services.api_keys.processor(connection, guid, key)).guid == guid
        except InvalidClient:
            return False


@pytest.fixture
def client(operator):
    return printed(operator, "client", "add", "Acme Bank")


@pytest.fixture
def processor(operator):
    return printed(operator, "processor", "add", "Acme Pay", "--numbers-as-strings")


def listed(operator, noun):
    name = f"{noun}_id"
    return {row[name]: row for row in json.loads(operator(noun, "list", "--json").out)}


def test_a_new_client_is_listed_and_its_key_is_not(operator, client):
    row = listed(operator, "client")[client["client_id"]]
    assert (row["name"], row["is_disabled"], row["webhook_url"]) == ("Acme Bank", False, None)
    text = operator("client", "list").out
    assert client["client_id"] in text
    assert client["client_api_key"] not in text


async def test_the_key_of_a_new_client_is_valid_for_a_client_and_not_for_a_processor(run_in_thread, services):
    client = await run_in_thread("client", "add", "Acme Bank")
    assert await is_client_key(services, client["client_id"], client["client_api_key"])
    assert not await is_processor_key(services, client["client_id"], client["client_api_key"])


def test_the_output_for_people_says_that_the_key_is_shown_once(operator):
    answer = operator("client", "add", "Acme Bank")
    assert "cck_" in answer.out
    assert "shown once" in answer.out


def test_an_empty_name_is_refused(operator):
    answer = operator("client", "add", "  ")
    assert (answer.code, answer.out) == (ExitCode.USAGE, "")
    assert "name must not be empty" in answer.err


async def test_a_rotated_key_works_beside_the_old_one_unless_at_once(run_in_thread, services):
    client = await run_in_thread("client", "add", "Acme Bank")
    guid = client["client_id"]
    second = (await run_in_thread("client", "rotate-key", guid))["client_api_key"]
    assert await is_client_key(services, guid, client["client_api_key"])
    assert await is_client_key(services, guid, second)
    third = (await run_in_thread("client", "rotate-key", guid, "--at-once"))["client_api_key"]
    assert await is_client_key(services, guid, third)
    assert not await is_client_key(services, guid, client["client_api_key"])
    assert not await is_client_key(services, guid, second)


async def test_a_processor_s_key_is_rotated_in_the_same_way(run_in_thread, services):
    processor = await run_in_thread("processor", "add", "Acme Pay")
    guid = processor["processor_id"]
    second = (await run_in_thread("processor", "rotate-key", guid, "--at-once"))["api_key"]
    assert await is_processor_key(services, guid, second)
    assert not await is_processor_key(services, guid, processor["api_key"])


def test_disabling_and_enabling_show_in_the_list(operator, client, processor):
    for noun, guid in (("client", client["client_id"]), ("processor", processor["processor_id"])):
        name = f"{noun}_id"
        assert f"coatcheck {noun} enable {guid}" in operator(noun, "disable", guid).out
        assert printed(operator, noun, "disable", guid) == {name: guid, "is_disabled": True}
        assert listed(operator, noun)[guid]["is_disabled"]
        assert operator(noun, "enable", guid).out == "Enabled.\n"
        assert printed(operator, noun, "enable", guid) == {name: guid, "is_disabled": False}
        assert not listed(operator, noun)[guid]["is_disabled"]


def test_a_processor_is_added_with_its_options(operator, processor):
    row = listed(operator, "processor")[processor["processor_id"]]
    assert (row["numbers_as_strings"], row["owners_at_transactions"]) == (True, False)


@pytest.mark.parametrize(("command", "is_enabled"), [("enable-for", True), ("disable-for", False)])
def test_enabling_or_disabling_a_processor_for_a_client_twice_is_no_error(
    operator, client, processor, command, is_enabled
):
    ids = processor["processor_id"], client["client_id"]
    for _ in range(2):
        assert operator("processor", command, *ids).code == 0
    assert printed(operator, "processor", command, *ids) == {
        "processor_id": ids[0],
        "client_id": ids[1],
        "is_enabled": is_enabled,
    }


async def test_disabling_a_processor_for_a_client_ends_its_tokens_and_is_audited(
    run_in_thread, services, http
):
    client = await make_client(services)
    processor = await make_processor(services, client)
    token = await make_token(
        services, await make_account(services, await make_user(services, client)), processor
    )

    async def read():
        answer = await http.get("/account/account_numbers", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code

    assert await read() == 200
    await run_in_thread("processor", "disable-for", processor.guid, client.guid)
    assert await read() == 401
    await run_in_thread("processor", "enable-for", processor.guid, client.guid)
    assert await read() == 200
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::jsonb ->> 'action', body::jsonb ->> 'actor' FROM audit_entry
               WHERE client_guid = %s AND body::jsonb ->> 'subject' = %s""",
            (client.guid, processor.guid),
        )
        assert set(await cursor.fetchall()) == {
            ("processor.disabled_for_client", "operator"),
            ("processor.enabled_for_client", "operator"),
        }


@pytest.mark.parametrize(
    "arguments",
    [
        ["client", "disable", "CLT-none"],
        ["client", "rotate-key", "PPR-none"],
        ["client", "webhook", "CLT-none"],
        ["client", "webhook", "CLT-none", "https://acme.example/hook"],
        ["client", "webhook", "CLT-none", "--remove"],
        ["client", "webhook", "CLT-none", "--show-secret"],
        ["client", "widget", "CLT-none"],
        ["client", "widget", "CLT-none", "--accent", "#0a7"],
        ["client", "enable", "CLT-none"],
        ["processor", "disable", "PPR-none"],
        ["processor", "enable", "PPR-none"],
        ["processor", "rotate-key", "PPR-none"],
        ["processor", "enable-for", "PPR-none", "CLT-none"],
        ["processor", "disable-for", "PPR-none", "CLT-none"],
    ],
    ids=" ".join,
)
def test_an_unknown_client_or_processor_is_refused_with_the_command_that_lists_them(operator, arguments):
    answer = operator(*arguments)
    assert (answer.code, answer.out) == (ExitCode.NOT_FOUND, "")
    assert "list` shows all" in answer.err


def test_the_key_of_a_processor_cannot_be_rotated_as_that_of_a_client(operator, processor):
    assert operator("client", "rotate-key", processor["processor_id"]).code == ExitCode.NOT_FOUND


def test_a_webhook_url_is_stored_until_it_is_removed_and_its_secret_stays_the_same(operator, client):
    guid, url = client["client_id"], "https://acme.example/hook"
    first = printed(operator, "client", "webhook", guid, url)
    assert first["webhook_secret"].startswith("whsec_")
    assert printed(operator, "client", "webhook", guid, url)["webhook_secret"] == first["webhook_secret"]
    assert listed(operator, "client")[guid]["webhook_url"] == url
    assert printed(operator, "client", "webhook", guid, "--show-secret") == first
    assert operator("client", "webhook", guid, "--remove").out == "No webhooks are sent.\n"
    assert listed(operator, "client")[guid]["webhook_url"] is None
    assert printed(operator, "client", "webhook", guid, url)["webhook_secret"] == first["webhook_secret"]
    assert printed(operator, "client", "webhook", guid, "--remove") == {
        "client_id": guid,
        "webhook_url": None,
    }


def test_redirect_urls_are_shown_replaced_and_removed(operator, client):
    guid, url = client["client_id"], "https://acme.example/connected"
    assert printed(operator, "client", "redirects", guid) == {"client_id": guid, "redirect_urls": None}
    assert printed(operator, "client", "redirects", guid, url)["redirect_urls"] == [url]
    assert printed(operator, "client", "redirects", guid)["redirect_urls"] == [url]
    refused = operator("client", "redirects", guid, "javascript:alert(1)")
    assert refused.code == ExitCode.USAGE, refused
    assert printed(operator, "client", "redirects", guid, "--remove")["redirect_urls"] is None
    assert operator("client", "redirects", "CLT-none", url).code == ExitCode.NOT_FOUND


def test_a_webhook_url_inside_the_network_is_refused_with_its_reason(operator, client):
    refused = operator("client", "webhook", client["client_id"], "https://127.1/hook")
    assert refused.code == ExitCode.USAGE, refused
    assert "not on the internet" in refused.err


def contents(url):
    """Every row of every table that a command could change."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname = 'public'"
        ).fetchall()
        return {
            table: sorted(connection.execute(f"SELECT t::text FROM {table} t").fetchall())
            for (table,) in tables
        }


@pytest.mark.parametrize(
    "arguments",
    [
        ["client", "list"],
        ["client", "webhook", "CLIENT"],
        ["client", "widget", "CLIENT"],
        ["processor", "list"],
        ["connectors"],
        ["doctor"],
        ["openapi"],
        ["keys", "new"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("option", [[], ["--json"]], ids=["", "json"])
def test_a_command_that_reads_changes_nothing(own_operator, own_url, arguments, option):
    guid = printed(own_operator, "client", "add", "Acme Bank")["client_id"]
    own_operator("client", "webhook", guid, "https://acme.example/hook")
    own_operator("client", "widget", guid, "--origin", "https://app.example")
    before = contents(own_url)
    answer = own_operator(*[guid if word == "CLIENT" else word for word in arguments], *option)
    assert answer.code in {ExitCode.OK, ExitCode.UNHEALTHY}
    assert contents(own_url) == before
    if arguments[:2] == ["client", "webhook"]:
        assert "https://acme.example/hook" in answer.out
        assert "whsec_" not in answer.out
    if arguments[:2] == ["client", "widget"]:
        assert "https://app.example" in answer.out


def test_the_secret_of_a_client_without_a_webhook_is_refused(operator, client):
    answer = operator("client", "webhook", client["client_id"], "--show-secret")
    assert (answer.code, answer.out) == (ExitCode.REFUSED, "")


@pytest.mark.parametrize("more", [["https://acme.example/hook"], ["--show-secret"]])
def test_removing_a_webhook_with_another_option_is_refused(operator, client, more):
    guid = client["client_id"]
    operator("client", "webhook", guid, "https://first.example/hook")
    answer = operator("client", "webhook", guid, "--remove", *more)
    assert answer.code == ExitCode.USAGE
    assert listed(operator, "client")[guid]["webhook_url"] == "https://first.example/hook"


def test_webhook_allow_private_permits_a_webhook_to_this_machine(operator, client, bare_environment):
    hook = ("client", "webhook", client["client_id"], "http://localhost:9000/hook")
    assert operator(*hook).code == ExitCode.USAGE
    bare_environment.setenv("COATCHECK_WEBHOOK_ALLOW_PRIVATE", "true")
    assert printed(operator, *hook)["webhook_url"] == "http://localhost:9000/hook"


@pytest.mark.parametrize(
    "address", ["http://acme.example/hook", "https://localhost/hook", "https://a:b@c.example/"]
)
def test_a_webhook_to_a_private_address_is_refused(operator, client, address):
    answer = operator("client", "webhook", client["client_id"], address)
    assert answer.code == ExitCode.USAGE
    assert "webhook URL must" in answer.err


def test_options_of_the_widget_that_are_left_out_keep_their_values(operator, client, tmp_path):
    guid = client["client_id"]
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    defaults = printed(operator, "client", "widget", guid)
    assert defaults == {
        "client_id": guid,
        "origins": [],
        "accent_color": None,
        "has_logo": False,
        "privacy_url": None,
    }
    configured = printed(
        operator,
        "client",
        "widget",
        guid,
        "--origin",
        "https://App.example",
        "--origin",
        "http://localhost:*",
        "--accent",
        "#0a7",
        "--logo",
        str(logo),
        "--privacy-url",
        "https://app.example/privacy",
    )
    assert configured == {
        "client_id": guid,
        "origins": ["https://app.example", "http://localhost:*"],
        "accent_color": "#0a7",
        "has_logo": True,
        "privacy_url": "https://app.example/privacy",
    }
    changed = printed(operator, "client", "widget", guid, "--logo", "", "--privacy-url", "")
    assert changed == configured | {"has_logo": False, "privacy_url": None}
    assert "https://app.example, http://localhost:*" in operator("client", "widget", guid).out


@pytest.mark.parametrize(
    "options",
    [
        ["--origin", "https://app.example/path"],
        ["--origin", "app.example"],
        ["--origin", "*"],
        ["--origin", "https://*.example"],
        ["--origin", "https://a.example; script-src *"],
        ["--origin", "'unsafe-inline'"],
        ["--accent", "red"],
        ["--privacy-url", "javascript:alert(1)"],
        ["--logo", "logo.html"],
        ["--logo", "nowhere.svg"],
    ],
    ids=" ".join,
)
def test_an_option_of_the_widget_with_a_wrong_form_is_refused(operator, client, options):
    assert operator("client", "widget", client["client_id"], *options).code == ExitCode.USAGE


def test_a_logo_that_is_too_large_is_refused(operator, client, tmp_path):
    logo = tmp_path / "logo.png"
    logo.write_bytes(bytes(16 * 1024 + 1))
    assert "at most" in operator("client", "widget", client["client_id"], "--logo", str(logo)).err
