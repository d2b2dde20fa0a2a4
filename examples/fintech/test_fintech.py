"""The app against a real Coatcheck, which the fixtures of its pytest plugin start."""

import pytest
from fintech import Fintech, Refused

from coatcheck.testing.sandbox import Sandbox
from coatcheck.testing.webhook_inbox import WebhookInbox


@pytest.fixture
def app(coatcheck: Sandbox) -> Fintech:
    return Fintech(coatcheck.base_url, coatcheck.client_id, coatcheck.client_api_key)


def linked_account(coatcheck: Sandbox, app: Fintech) -> dict:
    connection = coatcheck.connect()
    return next(
        each for each in app.accounts(connection.user_guid) if each["guid"] == connection.account_guids[0]
    )


def redeem(coatcheck: Sandbox, code: str, processor: int = 0) -> int:
    with coatcheck.processor(processor) as vendor:
        return vendor.post("/token", data={"grant_type": "authorization_code", "code": code}).status_code


def test_a_user_is_created_once(app: Fintech) -> None:
    assert app.add_user("customer-1") == app.add_user("customer-1")


def test_a_user_links_a_bank_on_a_page(app: Fintech) -> None:
    assert app.connect_url(app.add_user("customer-1")).startswith("http")


def test_the_vendor_that_was_named_reads_what_it_was_given(coatcheck: Sandbox, app: Fintech) -> None:
    account = linked_account(coatcheck, app)
    vendor = coatcheck.processors[0]
    assert redeem(coatcheck, app.share(account, vendor.processor_id, "balances", days=7)) == 200
    (reader,) = app.readers(account["user_guid"])
    assert (reader.name, reader.may_read, reader.status) == (vendor.name, ["balances"], "active")


def test_another_vendor_cannot_redeem_the_code(coatcheck: Sandbox, app: Fintech) -> None:
    account = linked_account(coatcheck, app)
    code = app.share(account, coatcheck.processors[0].processor_id, "numbers", days=7)
    assert redeem(coatcheck, code, processor=1) == 400


def test_a_share_ends_after_its_days(coatcheck: Sandbox, app: Fintech) -> None:
    account = linked_account(coatcheck, app)
    redeem(coatcheck, app.share(account, coatcheck.processors[0].processor_id, "balances", days=7))
    coatcheck.clock.advance("7d1s")
    (reader,) = app.readers(account["user_guid"])
    assert reader.status == "expired"


def test_a_share_is_stopped_at_once(coatcheck: Sandbox, app: Fintech) -> None:
    token = coatcheck.token()
    assert app.stop(token.grant_guid).count(".") == 2
    with coatcheck.bearer(token.access_token) as vendor:
        assert vendor.get("/account/transactions").status_code == 401


def test_a_connection_that_needs_the_user_is_found(coatcheck: Sandbox, app: Fintech) -> None:
    locked = coatcheck.connect(controls=["locked"])
    assert app.members_to_repair(locked.user_guid) == [locked.member_guid]


def test_what_coatcheck_refuses_is_raised_with_its_reason(app: Fintech) -> None:
    nothing = {"guid": "ACT-0", "user_guid": "USR-0", "member_guid": "MBR-0"}
    with pytest.raises(Refused):
        app.share(nothing, "PPR-0", "balances", days=7)


def test_the_app_hears_that_a_code_was_redeemed(
    coatcheck: Sandbox, app: Fintech, coatcheck_webhooks: WebhookInbox
) -> None:
    account = linked_account(coatcheck, app)
    redeem(coatcheck, app.share(account, coatcheck.processors[0].processor_id, "balances", days=7))
    event = coatcheck_webhooks.wait_for("code.redeemed")
    assert event.data["account_guid"] == account["guid"]
