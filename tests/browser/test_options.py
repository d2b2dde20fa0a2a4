"""The options of a link, and what the user sees of each."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from playwright.async_api import expect

from coatcheck.model.statuses import ConnectionStatus as Status
from coatcheck.widget.i18n import translate
from coatcheck.widget.messages import STATUS_MESSAGES, every_text
from coatcheck.widget.page_texts import TEXTS, page_texts
from tests.browser.scene import Embedded, Scene, finish, side_by_side

ACCOUNTS, NUMBERS = "Account names, types and balances", "Account and routing numbers"
TRANSACTIONS, IDENTITY = "Transactions", "Name, address, email and phone number of the account owner"
HISTORY, STATEMENTS = "Past transactions, as far back as your bank provides them", "Statements"
CALLING = ["Contacting MX Bank", "Signing in", "Finding your accounts"]
AT_SIGN_IN = "Sign in to MX Bank"


# --- what is requested --------------------------------------------------------------------------------------

OPTIONS: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({}, [ACCOUNTS, TRANSACTIONS], ["Getting transactions"]),
    ({"include_transactions": False}, [ACCOUNTS], []),
    (
        {"include_identity": True},
        [ACCOUNTS, TRANSACTIONS, IDENTITY],
        ["Getting account owner details", "Getting transactions"],
    ),
    ({"mode": "verification"}, [ACCOUNTS, NUMBERS], ["Getting account numbers"]),
    (
        {"mode": "verification", "include_transactions": True},
        [ACCOUNTS, NUMBERS, TRANSACTIONS],
        ["Getting account numbers", "Getting transactions"],
    ),
    (
        {"data_request": {"products": ["statements", "transaction_history"]}},
        [ACCOUNTS, STATEMENTS, HISTORY],
        ["Getting transactions", "Getting statements"],
    ),
]
"""By mode, include_transactions, include_identity and data_request: the consent and the phases."""


@pytest.mark.slow
async def test_the_consent_and_the_phases_match_the_client_s_options(scene: Scene) -> None:
    await scene.pause_worker()

    async def play(scene: Scene, options: dict[str, Any], shares: list[str], phases: list[str]) -> None:
        widget = await scene.embed("frame", current_institution_code="mxbank", **options)
        await expect(widget.frame.get_by_role("listitem")).to_have_text(shares)
        await widget.agree()
        await widget.sign_in("-".join(re.findall(r"\w+", str(options))) or "ann")
        await widget.sees("Connecting to MX Bank")
        await expect(widget.frame.get_by_role("main").get_by_role("listitem")).to_have_text(CALLING + phases)

    await side_by_side(scene, play, OPTIONS)


# --- which accounts -----------------------------------------------------------------------------------------


async def test_a_user_selects_several_accounts_and_the_client_learns_which(scene: Scene) -> None:
    widget = await scene.embed("sdkUrl", mode="verification", select_several_accounts=True)
    await expect(widget.frame.get_by_text("Harbour Pay can use only those.")).to_be_visible()
    await widget.connect()
    await widget.sees("Select your accounts")
    boxes = widget.frame.get_by_role("checkbox")
    await expect(boxes).to_have_count(2)
    await widget.press("Continue")
    await expect(widget.frame.get_by_text("Choose at least one.")).to_be_visible()
    for box in await boxes.all():
        await box.press("Space")
    await widget.press("Continue")
    await widget.sees("MX Bank is connected")
    await expect(
        widget.frame.get_by_role("list", name="Your accounts").get_by_role("listitem")
    ).to_have_count(2)
    (connected,) = await widget.posted("memberConnected")
    found = (await scene.api.get(f"/users/{scene.user}/members/{connected['member_guid']}/accounts")).json()
    verified = [each["guid"] for each in found["accounts"] if each["type"] in {"CHECKING", "SAVINGS"}]
    assert sorted(connected["account_guids"]) == sorted(verified)
    assert "account_guid" not in connected
    assert await widget.undecoded() == []


# --- the first step -----------------------------------------------------------------------------------


async def test_a_current_institution_is_signed_in_to_without_a_search(scene: Scene) -> None:
    registry = scene.services.registry

    async def play(scene: Scene, option: str, value: str, title: str) -> None:
        widget = await scene.embed("frame", **{option: value})
        await widget.agree()
        await widget.sees(title)
        assert await widget.posted("selectedInstitution") == []

    await side_by_side(
        scene,
        play,
        [
            ("current_institution_code", "mxbank", AT_SIGN_IN),
            ("current_institution_guid", registry.find("mxbank").guid, AT_SIGN_IN),
            ("current_institution_code", "mx_bank_oauth", "Sign in at MX Bank (OAuth)"),
        ],
    )


async def test_only_banks_of_the_given_countries_are_found(scene: Scene) -> None:
    widget = await scene.embed("frame", iso_country_code=["CA"])
    await widget.agree()
    names = widget.frame.get_by_role("list").get_by_role("button").locator("strong")
    await expect(names).to_contain_text(["Caisse Érablière", "Banque du Huard Bleu", "Loonwater Bank"])
    await widget.frame.get_by_role("searchbox").fill("MX Bank")
    await expect(widget.frame.get_by_text("No results for “MX Bank”")).to_be_visible()


async def test_without_any_bank_the_page_shows_a_message_without_a_query(scene: Scene) -> None:
    widget = await scene.embed("frame", iso_country_code=["XX"])
    await widget.agree()
    await expect(widget.frame.get_by_text("No banks available")).to_be_visible()
    await expect(widget.frame.get_by_text("No bank here offers what Harbour Pay asks for")).to_be_visible()
    for text in ("Popular", "Nothing found"):
        await expect(widget.frame.get_by_text(text)).to_have_count(0)


@pytest.mark.slow
async def test_where_the_search_is_disabled_nothing_leads_to_another_bank(scene: Scene) -> None:
    async def play(scene: Scene, bank: str, login: str, password: str, offers: list[str]) -> None:
        widget = await scene.embed("frame", current_institution_code=bank, disable_institution_search=True)
        await widget.agree()
        await widget.sees(AT_SIGN_IN)
        await widget.press("Back")
        assert len(await widget.posted("backButtonClicked")) == 1
        assert len(await widget.posted("backToSearch")) == 1, "the host decides what follows"
        await widget.sees(AT_SIGN_IN)
        await widget.sign_in(login, password)
        await widget.sees(
            STATUS_MESSAGES[Status.CLOSED if "closed" in login else Status.FAILED].title.replace(
                "{name}", "MX Bank"
            )
        )
        assert await widget.offers() == offers
        await widget.press(offers[0])
        assert len(await widget.posted("memberError/primaryAction")) == 1
        await widget.press("Remove this connection")
        await widget.press("Remove")
        await widget.sees("MX Bank is no longer connected")
        assert await widget.offers() == ["Done"]
        await widget.press("Done")
        assert len(await widget.posted("backToSearch")) == 2

    await side_by_side(
        scene,
        play,
        [
            ("mxbank", "ann", "SERVER_ERROR", ["Try again", "Remove this connection"]),
            ("mxbank", "ann+login_closed", "correct", ["Done", "Remove this connection"]),
        ],
    )


@pytest.mark.slow
async def test_where_the_search_is_disabled_a_sign_in_window_can_be_cancelled(scene: Scene) -> None:
    widget = await scene.embed(
        "frame", current_institution_code="mx_bank_oauth", disable_institution_search=True
    )
    await widget.agree()
    for _ in range(2):
        async with widget.page.expect_popup() as opened:
            await widget.press("Continue to MX Bank (OAuth)")
        bank = await opened.value
        async with bank.expect_event("close"):
            await widget.press("Cancel")
        await widget.sees("Sign in at MX Bank (OAuth)")
    async with widget.page.expect_popup() as opened:
        await widget.press("Continue to MX Bank (OAuth)")
    await finish(await opened.value, "Deny")
    await widget.sees("Your bank is not connected")
    assert await widget.offers() == ["Try again"]
    members = (await scene.api.get(f"/users/{scene.user}/members")).json()["members"]
    assert len(members) == 1


# --- colour scheme --------------------------------------------------------------------------------------


@pytest.mark.chromium("Firefox 153 has no command that switches the colour scheme")
async def test_light_and_dark_are_the_client_s_choice_or_the_browser_s(scene: Scene) -> None:
    async def play(scene: Scene, color_scheme: str, seen: Mapping[str, bool]) -> None:
        widget = await scene.embed("frame", color_scheme=color_scheme)
        page = widget.frame.locator("html")
        for preference, is_dark in seen.items():
            await widget.page.emulate_media(color_scheme=preference)  # type: ignore[arg-type]
            await expect(page).to_have_attribute("data-color-scheme", "dark" if is_dark else "light")
            background = await page.locator("body").evaluate(
                "(body) => getComputedStyle(body).backgroundColor"
            )
            assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 3 * 128) == is_dark, background

    await side_by_side(
        scene,
        play,
        [
            ("light", {"light": False, "dark": False}),
            ("dark", {"light": True, "dark": True}),
            ("browser", {"light": False, "dark": True}),
        ],
    )


# --- language --------------------------------------------------------------------------------------

KEYS = dict(TEXTS).keys()


@pytest.mark.parametrize("locale", ["es", pytest.param("fr-CA", marks=pytest.mark.slow)])
async def test_the_whole_page_is_in_the_language_of_the_link(scene: Scene, locale: str) -> None:
    await assert_flow_is_in_language(scene, locale)


async def assert_flow_is_in_language(scene: Scene, locale: str) -> None:
    """Walks through every screen: consent, challenge, refusal, failure, success and the other starts."""
    texts = page_texts(locale)

    def t(key: str, **values: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: {"client": "Harbour Pay", **values}[found[1]], texts[key])

    bank, oauth = {"bank": "MX Bank"}, {"bank": "MX Bank (OAuth)"}
    widget = await scene.embed("frame", locale=locale, mode="verification")
    await expect(widget.frame.locator("html")).to_have_attribute("lang", locale)
    await widget.sees(t("consent.title"))
    await assert_is_in(locale, widget)
    await widget.press(t("consent.accept"))
    await widget.sees(t("search.title"))
    await expect(widget.frame.get_by_text(t("search.popular"), exact=True)).to_be_visible()
    await widget.frame.get_by_role("searchbox").fill("Nowhere")
    await expect(widget.frame.get_by_text(t("search.nothing", query="Nowhere"))).to_be_visible()
    none = t("search.one" if locale == "fr-CA" else "search.count", count="0")
    await expect(widget.frame.get_by_role("status").filter(has_text=none)).to_have_count(1)
    await assert_is_in(locale, widget)
    await widget.press(t("search.by_numbers"))
    await widget.sees(t("microdeposits.title"))
    await widget.press(t("continue"))
    await expect(widget.frame.get_by_text(t("form.required")).first).to_be_visible()
    await assert_is_in(locale, widget)
    await widget.press(t("back"))
    await widget.choose("MX Bank (OAuth)")
    await widget.sees(t("oauth.title", **oauth))
    await assert_is_in(locale, widget)
    await widget.press(t("back"))
    await widget.choose("MX Bank")
    await widget.sees(t("credentials.title", **bank))
    await assert_is_in(locale, widget)
    for password in ("INVALID", "SERVER_ERROR"):
        await fill(widget, locale, f"ann-{locale}+persona=salaried", password)
        await widget.press(t("continue"))
        message = STATUS_MESSAGES[{"INVALID": Status.DENIED, "SERVER_ERROR": Status.FAILED}[password]]
        await expect(widget.frame.get_by_text(translate(locale, message.text, "MX Bank"))).to_be_visible()
        await assert_is_in(locale, widget)
    await widget.press(t("remove"))
    await widget.sees(t("removal.title", **bank))
    await assert_is_in(locale, widget)
    await widget.press(t("removal.confirm"))
    await widget.sees(t("removed.title", **bank))
    await assert_is_in(locale, widget)
    await widget.press(t("search.other"))
    await widget.choose("MX Bank")
    await fill(widget, locale, f"ann-{locale}+persona=salaried", "challenge")
    await scene.pause_worker()
    await widget.press(t("continue"))
    await widget.sees(t("connecting.title", **bank))
    await assert_is_in(locale, widget)
    scene.worker_may_run.set()
    await widget.sees(t("mfa.title"))
    await assert_is_in(locale, widget)
    await widget.frame.get_by_role("main").get_by_role("textbox").fill("correct")
    await widget.press(t("continue"))
    await widget.sees(t("accounts.title"))
    await assert_is_in(locale, widget)
    await widget.frame.get_by_role("radio").first.check()
    await widget.press(t("continue"))
    await widget.sees(t("connected.title", **bank))
    await assert_is_in(locale, widget)


async def fill(widget: Embedded, locale: str, login: str, password: str) -> None:
    await widget.frame.get_by_label(translate(locale, "Username")).fill(login)
    await widget.frame.get_by_label(translate(locale, "Password"), exact=True).fill(password)


async def assert_is_in(locale: str, widget: Embedded) -> None:
    """No visible or announced text is a key or English."""
    texts = await widget.frame.locator("body").evaluate(
        """(body) => [
          document.title,
          ...body.innerText.split("\\n"),
          ...[...body.querySelectorAll("*")].flatMap((node) =>
            ["aria-label", "placeholder", "alt"].map((name) => node.getAttribute(name))),
        ].filter(Boolean).map((text) => text.trim())"""
    )
    untranslated = [text for text in texts if text in KEYS or is_english(text, locale)]
    assert untranslated == []


def is_english(text: str, locale: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in english(locale))


@cache
def english(locale: str) -> list[re.Pattern[str]]:
    """Patterns of the English texts that differ in this language."""
    translated = page_texts(locale)
    texts = [text for key, text in TEXTS if translated[key] != text]
    texts += [text for text in every_text() if translate(locale, text, "{name}") != text]
    return [re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(text))) for text in texts]
