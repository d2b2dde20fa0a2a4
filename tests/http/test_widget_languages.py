"""In Spanish and French, no English text is left on the screens of the widget and of the sandbox bank."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest

from coatcheck.connectors.sandbox.translations import TRANSLATIONS
from coatcheck.widget.messages import every_text
from coatcheck.widget.page_texts import TEXTS
from tests.api_client import Api
from tests.widget_client import Page, answer, oauth, open_page, signing_in

LANGUAGES = ("es", "fr-CA")
BANK = "MX Bank"
ENGLISH = {
    text.replace("{name}", BANK).replace("{bank}", BANK)
    for text in (*every_text(), *(text for _, text in TEXTS), *TRANSLATIONS["es"])
}
SAME = {"es": {"No"}, "fr-CA": {"Date", "Description", "Transactions"}}
"""Words that are the same in English."""

OUTCOMES = (
    *("challenge", "options", "image", "image_options", "token"),
    *("INVALID", "LOCKED", "SERVER_ERROR", "UNAVAILABLE"),
)
"""Passwords, by which a member gets to every kind of challenge and to messages."""
CONTROLS = ("mfa_otp", "impeded", "consent_revoked", "discontinued", "login_closed", "timeout", "empty")


def leaves(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)


def left_over(value: Any, language: str) -> set[str]:
    return set(leaves(value)) & ENGLISH - SAME[language]


async def screens(page: Page) -> list[Any]:
    """What the page gets for each of its screens."""
    shown: list[Any] = [page.boot["messages"], page.boot["start"]]
    shown += [await page.get(f"/institutions/mxbank{part}") for part in ("", "/credentials")]
    logins = [(f"for-{password}", password) for password in OUTCOMES]
    logins += [(f"for-{control}+{control}", "correct") for control in CONTROLS]
    found = [
        (await page.send("POST", "/members", signing_in(page.api, *login)))["member"] for login in logins
    ]
    await page.api.work()
    shown += [await page.get(f"/members/{each['guid']}") for each in found]
    return shown


@pytest.mark.parametrize("language", LANGUAGES)
async def test_no_text_of_a_screen_is_english(api: Api, user: str, language: str) -> None:
    shown = await screens(await open_page(api, user, locale=language))
    assert left_over(shown, language) == set()
    assert left_over(await screens(await open_page(api, await api.create_user())), language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_no_text_of_the_ways_to_get_a_code_is_english(api: Api, user: str, language: str) -> None:
    page = await open_page(api, user, locale=language)
    member = await page.connect("ann+mfa_otp")
    for number, _ in enumerate(("sms", "new code")):
        (challenge,) = member["mfa"]["credentials"]
        member = await answer(page, member, challenge["options"][0]["label"])
        assert left_over(member, language) == set(), number


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_bank_s_own_page_is_in_the_language_of_the_widget(
    api: Api, user: str, language: str
) -> None:
    page = await open_page(api, user, locale=language)
    member = (await page.send("POST", "/members", oauth(api)))["member"]
    opened = await api.http.get(member["oauth_window_uri"], follow_redirects=True)
    assert f'<html lang="{language}">' in opened.text
    text = re.sub(r'<dl lang="en">.*?</dl>', "", opened.text, flags=re.DOTALL)
    lines = {unescape(each).strip() for each in re.split(r"<[^>]*>", text)}
    assert TRANSLATIONS[language]["Allow"] in lines
    assert lines & ENGLISH == set()


def test_the_sandbox_bank_has_every_text_in_each_language() -> None:
    assert tuple(TRANSLATIONS) == LANGUAGES
    assert TRANSLATIONS["es"].keys() == TRANSLATIONS["fr-CA"].keys()
    for translations in TRANSLATIONS.values():
        for english, text in translations.items():
            assert re.findall(r"\{\w+\}", english) == re.findall(r"\{\w+\}", text)
