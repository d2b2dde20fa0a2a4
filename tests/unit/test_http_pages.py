"""The headers of pages, by their kind, and the pages with a message."""

import pytest
from starlette.responses import Response

from coatcheck.http.headers import OPENED_BY_CLIENTS, Policy, page_headers
from coatcheck.http.i18n import LOCALES
from coatcheck.http.message_page import Form, Link, message, page_with_link, question
from coatcheck.http.pages import environments


@pytest.mark.parametrize("policy", Policy)
def test_a_page_keeps_a_window_of_another_site_only_if_clients_open_it(policy: Policy) -> None:
    opener = "unsafe-none" if policy in OPENED_BY_CLIENTS else "same-origin"
    assert page_headers(policy)["Cross-Origin-Opener-Policy"] == opener


def test_a_page_is_not_stored_uses_no_device_and_tells_no_other_site_its_address() -> None:
    headers = page_headers(Policy.DASHBOARD)
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert {"camera=()", "geolocation=()", "payment=()"} <= set(headers["Permissions-Policy"].split(", "))
    assert "Cache-Control" not in page_headers(Policy.DASHBOARD, cache=None)


def test_a_page_is_framed_and_its_form_leads_only_where_it_is_allowed() -> None:
    widget = page_headers(Policy.WIDGET, ancestors="https://app.example")["Content-Security-Policy"]
    assert widget.endswith("frame-ancestors https://app.example")
    form = page_headers(Policy.QUESTION, targets="https://app.example")["Content-Security-Policy"]
    assert "form-action 'self' https://app.example;" in form
    assert "form-action 'self';" in page_headers(Policy.QUESTION)["Content-Security-Policy"]


def page_of(answer: Response) -> str:
    return bytes(answer.body).decode()


def test_a_message_has_its_title_its_text_and_its_language() -> None:
    answer = message(404, "Not found", "Ask for another link.", lang="de")
    page = page_of(answer)
    assert answer.status_code == 404
    assert '<html lang="de">' in page
    assert "<title>Not found</title>" in page
    assert "<h1>Not found</h1>" in page
    assert "<p>Ask for another link.</p>" in page
    assert "Retry-After" not in answer.headers
    assert answer.headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")


def test_a_message_that_the_server_is_not_available_says_when_to_come_back() -> None:
    assert int(message(503, "Later", "Try again.").headers["Retry-After"]) > 0


def test_a_page_that_leads_somewhere_has_a_title_and_the_link() -> None:
    answer = page_with_link("Connect", "Sign in first.", Link("/sign-in?a=1&b=2", "Sign in"))
    page = page_of(answer)
    assert answer.status_code == 200
    assert "<title>Connect</title>" in page
    assert '<a href="/sign-in?a=1&amp;b=2">Sign in</a>' in page


def test_a_question_has_a_button_for_each_answer_and_cannot_be_framed() -> None:
    form = Form(
        action="/consent",
        name="answer",
        buttons={"yes": "Allow", "no": "Refuse"},
        fields={"state": '"x'},
        targets="https://app.example",
    )
    answer = question("May it read?", "Until Friday.", form)
    page = page_of(answer)
    assert "<title>May it read?</title>" in page
    assert "<p>Until Friday.</p>" in page
    assert '<form method="post" action="/consent">' in page
    assert '<input type="hidden" name="state" value="&#34;x">' in page
    assert '<button name="answer" value="yes">Allow</button>' in page
    assert '<button name="answer" value="no">Refuse</button>' in page
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example" in policy


@pytest.mark.parametrize("surface", ["portal", "dashboard"])
def test_a_page_escapes_what_it_shows_in_each_language(surface: str) -> None:
    for locale in LOCALES:
        shown = environments(surface)[locale].from_string("<b>{{ name }}</b>").render(name="<script>")
        assert shown == "<b>&lt;script&gt;</b>"
