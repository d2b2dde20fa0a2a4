"""The widget's API: the first step, institutions, and members."""

import pytest

from coatcheck.app import Services
from coatcheck.connectors.contract import JobKind
from coatcheck.members.records import MemberChanges
from coatcheck.model.members import find_member
from coatcheck.worker_services import build_worker
from tests.api_client import LOGIN, PASSWORD, Api
from tests.widget_client import CORRECT, answer, jobs_of, open_page, signing_in

# --- where it starts -----------------------------------------------------------------------------------


async def test_a_current_institution_starts_at_its_sign_in(api: Api, user: str) -> None:
    for code, step in (("mxbank", "enterCreds"), ("mxcu_oauth", "oauth")):
        page = await open_page(api, user, current_institution_code=code)
        start = await page.get("/start")
        assert (start["step"], start["institution"]["code"]) == (step, code)


@pytest.mark.parametrize(
    ("password", "update", "step"),
    [
        ("correct", False, "connected"),
        ("correct", True, "enterCreds"),
        ("INVALID", False, "enterCreds"),
        ("LOCKED", False, "actionableError"),
        ("LOCKED", True, "enterCreds"),
        ("challenge", False, "mfa"),
        ("challenge", True, "mfa"),
    ],
)
async def test_a_current_member_starts_at_its_step_without_consent(
    api: Api, user: str, password: str, update: bool, step: str
) -> None:
    guid = await api.connect(user, password=password)
    await api.work()
    page = await open_page(api, user, current_member_guid=guid, update_credentials=update, consented=False)
    start = await page.get("/start")
    assert (start["step"], start["member"]["guid"], start["institution"]["code"]) == (step, guid, "mxbank")
    if step != "mfa":
        member = (await page.send("PUT", f"/members/{guid}", CORRECT))["member"]
        assert (await page.after_work(member))["step"] == "connected"


async def test_a_rejected_member_starts_by_connecting_again(api: Api, user: str) -> None:
    guid = await api.connect(user, password="challenge")
    await api.work()
    page = await open_page(api, user, current_member_guid=guid)
    rejected = await answer(page, await page.get(f"/members/{guid}"), "wrong")
    assert (rejected["step"], rejected["connection_status"]) == ("actionableError", 4)
    start = await page.get("/start")
    assert (start["step"], start["member"]["is_being_aggregated"]) == ("connecting", False)
    member = (await page.send("POST", f"/members/{guid}/jobs"))["member"]
    assert (await page.after_work(member))["step"] == "mfa"


async def test_a_verification_offers_existing_members(api: Api, user: str) -> None:
    await api.connect(user)
    await api.work()
    page = await open_page(api, user, mode="verification")
    start = await page.get("/start")
    assert start["step"] == "verifyExistingMember"
    (member,) = start["members"]
    assert (member["verification_is_enabled"], member["step"]) == (True, "connecting")
    started = (await page.send("POST", f"/members/{member['guid']}/jobs"))["member"]
    assert started["is_being_aggregated"]
    verified = await page.after_work(started)
    assert verified["step"] == "accountSelect"
    assert verified["progress"]["done"] == ["started", "authenticated", "accounts", "numbers"]


async def test_a_current_object_that_was_deleted_starts_at_the_search(api: Api, user: str) -> None:
    guid = await api.connect(user)
    await api.work()
    page = await open_page(api, user, current_member_guid=guid)
    await api.delete(f"/users/{user}/members/{guid}")
    start = await page.get("/start")
    assert (start["step"], start["member"]) == ("search", None)


# --- institutions --------------------------------------------------------------------------------------


async def test_the_most_popular_institutions_come_first_by_the_page(api: Api, user: str) -> None:
    page = await open_page(api, user)
    first, second = [await page.get(f"/institutions?page={number}") for number in (1, 2)]
    assert [each["code"] for each in first["institutions"][:2]] == ["mxbank", "mxcu_oauth"]
    assert (len(first["institutions"]), first["page"], second["page"]) == (25, 1, 2)
    assert first["total_pages"] == second["total_pages"] == 3
    codes = [each["code"] for each in (*first["institutions"], *second["institutions"])]
    assert len(set(codes)) == 50
    for number in ("0", "-1", "x", "²", "9" * 30, "0" * 5000 + "1"):
        assert await page.refused("GET", f"/institutions?page={number}") == (400, "invalid_request")


async def test_institutions_are_found_by_name_and_by_number(api: Api, user: str) -> None:
    page = await open_page(api, user)
    by_name = await page.get("/institutions?search_name=erabl")
    assert [each["name"] for each in by_name["institutions"]] == ["Caisse Érablière"]
    by_number = await page.get("/institutions?routing_number=111111111")
    assert [each["code"] for each in by_number["institutions"]] == ["mxbank"]
    nothing = await page.get("/institutions?search_name=%00")
    assert (nothing["institutions"], nothing["total_pages"]) == ([], 1)


async def test_only_institutions_that_support_the_session_s_jobs_are_found(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification", include_identity=True, iso_country_code=["CA"])
    found = (await page.get("/institutions"))["institutions"]
    assert found
    assert "loonwater_bank" in {each["code"] for each in found}
    assert "muskeglight_credit_union" not in {each["code"] for each in found}, "it supports aggregation only"
    assert all(each["account_verification_is_enabled"] for each in found)


async def test_an_institution_and_its_fields_are_read_by_guid_and_by_code(
    api: Api, services: Services, user: str
) -> None:
    page = await open_page(api, user)
    bank = services.registry.find("mxbank")
    shown = await page.get(f"/institutions/{bank.guid}")
    assert shown == await page.get("/institutions/mxbank")
    assert shown["logo_url"].startswith("data:image/svg+xml,%3Csvg")
    fields = (await page.get("/institutions/mxbank/credentials"))["credentials"]
    assert [(each["guid"], each["field_type"]) for each in fields] == [(LOGIN, 3), (PASSWORD, 1)]
    assert await page.refused("GET", "/institutions/nobank") == (404, "not_found")


# --- members: every result of a sign-in -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "password", "step", "status", "error_code", "action"),
    [
        ("ann", "anything", "connected", 6, None, None),
        ("ann", "BAD_REQUEST", "actionableError", 14, 3002, "retry"),
        ("ann", "UNAUTHORIZED", "enterCreds", 2, 2005, None),
        ("ann", "INVALID", "enterCreds", 2, 2005, None),
        ("ann", "LOCKED", "actionableError", 5, 1002, "visitInstitution"),
        ("ann", "DISABLED", "enterCreds", 2, 2005, None),
        ("ann", "SERVER_ERROR", "actionableError", 14, 3002, "retry"),
        ("ann", "UNAVAILABLE", "actionableError", 14, 3002, "retry"),
        ("ann", "challenge", "mfa", 3, None, None),
        ("ann", "options", "mfa", 3, None, None),
        ("ann", "image", "mfa", 3, None, None),
        ("ann", "image_options", "mfa", 3, None, None),
        ("ann", "token", "mfa", 3, None, None),
        ("ann+impeded", "x", "actionableError", 7, 1002, "visitInstitution"),
        ("ann+consent_revoked", "x", "actionableError", 10, 2004, "enterCreds"),
        ("ann+login_closed", "x", "actionableError", 12, 1002, "search"),
        ("ann+discontinued", "x", "actionableError", 11, 3002, "search"),
        ("ann+timed_out", "x", "actionableError", 13, 3002, "retry"),
        ("ann+empty", "x", "actionableError", 6, 1001, "search"),
    ],
)
async def test_every_login_at_the_test_bank_leads_to_its_step(
    api: Api,
    user: str,
    login: str,
    password: str,
    step: str,
    status: int,
    error_code: int | None,
    action: str | None,
) -> None:
    member = await (await open_page(api, user)).connect(login, password)
    assert (member["step"], member["connection_status"]) == (step, status)
    assert (member["error"] or {}).get("error_code") == error_code
    message = member["message"]
    assert (message is None) == (error_code is None)
    if message is not None:
        primary = message["primary_action"]
        assert (primary and primary["action"]) == action
        assert "{name}" not in repr(message)


async def test_a_new_member_is_connecting_until_its_job_is_done(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = (await page.send("POST", "/members", signing_in(api, "ann", "x")))["member"]
    assert (member["step"], member["connection_status"], member["is_being_aggregated"]) == (
        "connecting",
        0,
        True,
    )
    assert member["progress"] == {
        "wanted": ["started", "authenticated", "accounts", "transactions"],
        "done": [],
    }
    job = await page.get(f"/jobs/{member['most_recent_job_guid']}")
    assert (job["job_type"], job["status"], job["finished_at"]) == (0, 0, None)
    member = await page.after_work(member)
    job = await page.get(f"/jobs/{member['most_recent_job_guid']}")
    assert (job["status"], job["is_authenticated"], job["async_account_data_ready"]) == (3, True, True)


async def test_the_session_s_jobs_run_one_after_the_other_and_no_others(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification", include_transactions=True, include_identity=True)
    member = await page.connect()
    assert member["progress"]["done"] == member["progress"]["wanted"]
    assert member["progress"]["wanted"] == [
        "started", "authenticated", "accounts", "numbers", "identity", "transactions",
    ]  # fmt: skip
    kinds = await jobs_of(api, member)
    assert kinds == [("VERIFICATION", True), ("AGGREGATION", True), ("IDENTIFICATION", True)]
    assert await page.refused("POST", f"/members/{member['guid']}/jobs", {"job_type": 7}) == (
        400,
        "invalid_request",
    )


async def test_products_determine_the_jobs(api: Api, user: str) -> None:
    page = await open_page(
        api, user, data_request={"products": ["identity_verification", "transaction_history"]}
    )
    assert page.boot["config"]["products"] == ["identity_verification", "transaction_history"]
    member = await page.connect()
    assert await jobs_of(api, member) == [("IDENTIFICATION", True), ("HISTORY", True)]


async def test_without_transactions_none_are_read(api: Api, user: str) -> None:
    page = await open_page(api, user, include_transactions=False)
    assert (await page.get("/start"))["consent"]["shares"] == ["accounts"]
    member = await page.connect()
    assert member["progress"]["wanted"] == ["started", "authenticated", "accounts"]
    assert await jobs_of(api, member) == [("AGGREGATION", False)]
    changed = (await page.send("PUT", f"/members/{member['guid']}", CORRECT))["member"]
    await page.after_work(changed)
    assert await jobs_of(api, member) == [("AGGREGATION", False)] * 2


@pytest.mark.own_database
async def test_an_aggregation_that_follows_a_verification_can_fail_and_be_tried_alone(
    api: Api, services: Services, user: str
) -> None:
    page = await open_page(api, user, mode="verification", include_transactions=True)
    member = (await page.send("POST", "/members", signing_in(api, "ann", "x")))["member"]
    worker_services = build_worker(services)
    (job,) = await worker_services.scheduler.claim(1)
    await worker_services.sync.run(job)
    member = await page.get(f"/members/{member['guid']}")
    assert (member["step"], member["connection_status"]) == ("connecting", 6)
    assert member["progress"]["done"] == ["started", "authenticated", "accounts", "numbers"]
    async with services.db.transaction() as connection:
        found = await find_member(connection, user, member["guid"])
        await services.members.change(
            connection,
            found,
            MemberChanges(credentials={LOGIN: "ann", PASSWORD: "SERVER_ERROR"}, kinds=[JobKind.AGGREGATION]),
        )
    failed = await page.after_work(member)
    assert failed["step"] == "actionableError"
    await page.send("PUT", f"/members/{member['guid']}", CORRECT)
    assert (await page.after_work(member))["step"] == "accountSelect"


async def test_a_second_sign_in_with_the_same_login_names_the_first(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = await page.connect()
    answer = await page("POST", "/members", json=signing_in(api, "mxuser", "other"))
    assert answer.status_code == 409
    assert answer.json()["error"]["type"] == "duplicate_member"
    assert answer.json()["guid"] == member["guid"]
    assert len((await page.get("/members"))["members"]) == 1


async def test_refused_credentials_are_replaced_until_the_third_time_and_after(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = await page.connect(password="INVALID")
    fields = (await page.get(f"/members/{member['guid']}/credentials"))["credentials"]
    assert [each["guid"] for each in fields] == [LOGIN, PASSWORD]
    assert member["message"]["title"] == "Check your sign-in details"
    for _ in range(2):
        member = (await page.send("POST", f"/members/{member['guid']}/jobs"))["member"]
        member = await page.after_work(member)
    assert (member["step"], member["connection_status"]) == ("actionableError", 1)
    assert member["message"]["primary_action"]["action"] == "enterCreds"
    assert await page.refused("POST", f"/members/{member['guid']}/jobs") == (409, "constraint_not_met")
    await page.send("PUT", f"/members/{member['guid']}", CORRECT)
    assert (await page.after_work(member))["step"] == "connected"


@pytest.mark.parametrize("values", [[], [{"guid": LOGIN, "value": "ann"}], [{"guid": "CRD-1", "value": "x"}]])
async def test_a_form_with_a_missing_value_is_refused(
    api: Api, user: str, values: list[dict[str, str]]
) -> None:
    page = await open_page(api, user)
    body = {"institution_guid": api.services.registry.find("mxbank").guid, "credentials": values}
    assert await page.refused("POST", "/members", body) == (400, "invalid_request")


async def test_an_institution_that_does_not_support_the_jobs_is_refused(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    body = signing_in(api, "ann", "x", "muskeglight_credit_union")
    assert await page.refused("POST", "/members", body) == (400, "job_not_supported")


async def test_a_user_deletes_a_member(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = await page.connect()
    assert (await page("DELETE", f"/members/{member['guid']}")).status_code == 204
    assert await page.refused("GET", f"/members/{member['guid']}") == (404, "not_found")


async def test_another_job_is_refused_while_one_runs_and_a_repeat_returns_the_same(
    api: Api, user: str
) -> None:
    page = await open_page(api, user)
    member = (await page.send("POST", "/members", signing_in(api, "ann", "x")))["member"]
    again = (await page.send("POST", f"/members/{member['guid']}/jobs", {"job_type": 0}))["member"]
    assert again["most_recent_job_guid"] == member["most_recent_job_guid"]
    verifying = await open_page(api, user, mode="verification")
    assert await verifying.refused("POST", f"/members/{member['guid']}/jobs") == (409, "job_running")


async def test_texts_are_in_the_session_s_language(api: Api, user: str) -> None:
    page = await open_page(api, user, locale="es")
    member = await page.connect(password="LOCKED")
    assert member["message"]["title"] == "Su acceso está bloqueado"
    assert member["message"]["primary_action"]["label"] == "Ir a MX Bank"
    assert member["error"]["locale"] == "es"


@pytest.mark.parametrize(
    ("locale", "labels"),
    [
        ("en", ["Username", "Password"]),
        ("es", ["Usuario", "Contraseña"]),
        ("fr-CA", ["Nom d’utilisateur", "Mot de passe"]),  # noqa: RUF001 (an apostrophe)
    ],
)
async def test_the_usual_field_labels_are_in_the_session_s_language(
    api: Api, user: str, locale: str, labels: list[str]
) -> None:
    page = await open_page(api, user, locale=locale)
    fields = (await page.get("/institutions/mxbank/credentials"))["credentials"]
    assert [each["label"] for each in fields] == labels
    member = await page.connect(password="INVALID")
    fields = (await page.get(f"/members/{member['guid']}/credentials"))["credentials"]
    assert [each["label"] for each in fields] == labels


async def test_without_a_search_no_action_leads_to_it(api: Api, user: str) -> None:
    page = await open_page(api, user, current_institution_code="mxbank", disable_institution_search=True)
    closed = await page.connect("ann+login_closed")
    assert closed["message"]["primary_action"]["action"] == "done"
    failed = await page.connect("bob", "SERVER_ERROR")
    assert failed["message"]["secondary_action"] is None
