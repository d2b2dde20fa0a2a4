"""The text of the consent step, as the page shows it: what is signed is what the user read."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

from coatcheck.grants.authorization_disclosures import Agreement, Party
from coatcheck.widget.page_texts import page_texts
from coatcheck.widget.schemas import Consent

PREFIX = "consent."


def agreement_of(locale: str, client: Party, processors: Sequence[Party], consent: Consent) -> Agreement:
    """What a user agrees to who accepts the consent step in this language."""
    return Agreement(
        text=consent_text(locale, client.name, consent),
        version=text_version(locale),
        language=locale,
        client=client,
        processors=processors,
        data=consent.shares,
        refreshes=consent.refreshes,
        access_days=consent.reading_days,
    )


def consent_text(locale: str, client_name: str, consent: Consent) -> str:
    """Every line of the step, from its title to the button (static/steps/consent.js)."""
    values = {
        "client": client_name,
        "readers": ", ".join(consent.readers),
        "days": str(consent.reading_days),
    }
    keys = [
        "title",
        "lead",
        "what",
        *(f"shares.{share}" for share in consent.shares),
        *(["accounts"] if consent.selects_accounts else []),
        "how_often",
        f"refreshes.{consent.refreshes}",
        "who",
        "readers" if consent.readers else "no_readers",
        "sign_in",
        "sign_in_text",
        "accept",
        "decline",
    ]
    return "\n".join(_filled(page_texts(locale)[f"{PREFIX}{key}"], values) for key in keys)


def text_version(locale: str) -> str:
    """Identifies the texts of a language: the start of their SHA-256."""
    texts = [f"{key}={text}" for key, text in sorted(page_texts(locale).items()) if key.startswith(PREFIX)]
    return sha256("\n".join(texts).encode()).hexdigest()[:16]


def _filled(text: str, values: Mapping[str, str]) -> str:
    # In one pass: the name of a company may contain braces.
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], text)
