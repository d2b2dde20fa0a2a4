"""The institutions of the sandbox: MX's four test institutions and invented ones.

Every other name is invented. Web addresses are below `.example`, which is reserved (RFC 2606).
"""

import unicodedata
import uuid
from datetime import UTC, datetime

from coatcheck.connectors.contract import CredentialField, Institution, JobKind
from coatcheck.connectors.sandbox import images
from coatcheck.connectors.sandbox.numbers import digits, routing_number, seeded

# Must not change: clients keep the guids that follow from it.
_NAMESPACE = uuid.UUID("6f1b6f7e-52b5-5a5c-9d53-0e5b0c5f3a11")
_OPENED = datetime(2024, 1, 2, 15, 0, tzinfo=UTC)

_ALL = frozenset(JobKind)
_READ_ONLY = frozenset({JobKind.AGGREGATION, JobKind.BALANCE, JobKind.HISTORY})
_PAYMENTS = frozenset({JobKind.AGGREGATION, JobKind.BALANCE, JobKind.VERIFICATION, JobKind.IDENTIFICATION})
_NO_HISTORY = _ALL - {JobKind.HISTORY}
_NO_STATEMENT = _ALL - {JobKind.STATEMENT}
_NO_IDENTITY = _ALL - {JobKind.IDENTIFICATION}
_MINIMAL = frozenset({JobKind.AGGREGATION, JobKind.BALANCE})

_MXBANK_CREDENTIALS = (
    "CRD-9f61fb4c-912c-bd1e-b175-ccc7f0275cc1",
    "CRD-e3d7ea81-aac7-05e9-fbdd-4b493c6e474d",
)
"""MX's own examples and third-party tests hard-code these."""

MXBANK_SEARCH_NUMBER = "111111111"
"""Not a valid routing number. Clients of MX search for MX Bank with it."""

_UNITED_STATES = (
    ("Lanternfish Bank", _ALL),
    ("Quillwort Federal Credit Union", _ALL),
    ("Marmot & Vale Bank", _NO_STATEMENT),
    ("Thimbleberry Savings", _ALL),
    ("Ninepin Bank", _NO_HISTORY),
    ("Cobblewick Bank & Trust", _ALL),
    ("Ospreyhead Credit Union", _PAYMENTS),
    ("Tumbledown National Bank", _ALL),
    ("Junipergate Bank", _NO_IDENTITY),
    ("Pennywhistle Credit Union", _ALL),
    ("Saltcellar Savings Bank", _READ_ONLY),
    ("Brambletoll Bank", _ALL),
    ("Foxglove Teachers Credit Union", _NO_STATEMENT),
    ("Windlass Bank", _ALL),
    ("Harebell Community Bank", _PAYMENTS),
    ("Copperkettle Bank", _ALL),
    ("Driftmark Federal Credit Union", _MINIMAL),
    ("Plumbline Bank", _ALL),
    ("Mosswater Bank", _NO_STATEMENT),
    ("Kestrelworks Credit Union", _ALL),
    ("Oatfield & Daughters Bank", _NO_HISTORY),
    ("Sundial Reach Bank", _ALL),
    ("Tidepenny Bank", _ALL),
    ("Barnswallow Credit Union", _READ_ONLY),
    ("Gristmill Savings & Loan", _ALL),
    ("Halfmoon Ferry Bank", _PAYMENTS),
    ("Inkwell Business Bank", _ALL),
    ("Rooksbridge Bank", _NO_IDENTITY),
    ("Larkrise Postal Credit Union", _ALL),
    ("Applejack Valley Bank", _ALL),
    ("Glowworm Digital Bank", _NO_STATEMENT),
    ("Meadowpipit Credit Union", _ALL),
    ("Whistlestop Bank", _MINIMAL),
    ("Umbrella Pine Bank", _ALL),
    ("Cartwheel Bank", _ALL),
    ("Snowgoose Credit Union", _NO_HISTORY),
    ("Tanglewick Bank", _ALL),
    ("Hollyhock Firefighters Credit Union", _ALL),
    ("Silverminnow Bank", _READ_ONLY),
    ("Three Herons Bank", _ALL),
    ("Nightjar Neobank", _PAYMENTS),
    ("Quaylight Savings Bank", _ALL),
    ("Butterchurn Farmers Bank", _ALL),
    ("Starling & Wren Private Bank", _NO_STATEMENT),
    ("Cloudberry Credit Union", _ALL),
    ("Redwillow Bend Bank", _ALL),
    ("Hopscotch Student Credit Union", _MINIMAL),
    ("Banco Peñaluz", _ALL),
    ("Zephyrine Bank", _ALL),
)
_CANADA = (
    ("Caisse Érablière", _ALL),
    ("Banque du Huard Bleu", _NO_STATEMENT),
    ("Loonwater Bank", _ALL),
    ("Muskeglight Credit Union", _READ_ONLY),
    ("Saltspray Pacific Credit Union", _ALL),
    ("Trilliumgate Trust", _PAYMENTS),
)


def institutions() -> tuple[Institution, ...]:
    """All institutions. The invented ones are less popular than MX's, in the order of the tables."""
    rows = [(name, "US", supports) for name, supports in _UNITED_STATES]
    rows += [(name, "CA", supports) for name, supports in _CANADA]
    invented = (
        _institution(_code(name), name, country, supports, popularity=900 - 10 * position)
        for position, (name, country, supports) in enumerate(rows)
    )
    return (*_test_institutions(), *invented)


def _test_institutions() -> tuple[Institution, ...]:
    """MX's test institutions, with the products that MX's clients expect."""
    return (
        _institution("mxbank", "MX Bank", "US", _ALL, popularity=1000, is_throttled=False),
        _institution("mxcu_oauth", "MXCU (OAuth)", "US", _ALL, popularity=990, is_throttled=False),
        _institution("mxcu_credential", "MXCU (Credential)", "US", _ALL, popularity=980, is_throttled=False),
        _institution(
            "mx_bank_oauth",
            "MX Bank (OAuth)",
            "US",
            _PAYMENTS,
            popularity=970,
            is_throttled=False,
        ),
    )


def _institution(
    code: str,
    name: str,
    country: str,
    supports: frozenset[JobKind],
    *,
    popularity: int,
    is_throttled: bool = True,
) -> Institution:
    oauth = name.endswith("(OAuth)")
    url = f"https://www.{code.replace('_', '-')}.example"
    return Institution(
        code=code,
        guid=f"INS-{uuid.uuid5(_NAMESPACE, code)}",
        name=name,
        url=url,
        iso_country_code=country,
        supports=supports,
        supports_oauth=oauth,
        credentials=() if oauth else _credentials(code),
        popularity=popularity,
        routing_numbers=_routing_numbers(code, name, country),
        is_throttled=is_throttled,
        instructional_text=None if oauth else "Any username works; the password decides what happens.",
        forgot_password_url=f"{url}/forgot-password",
        forgot_username_url=f"{url}/forgot-username",
        trouble_signing_in_url=f"{url}/help",
        logo_svg=images.logo(name),
        created_at=_OPENED,
    )


def _credentials(code: str) -> tuple[CredentialField, ...]:
    guids = (
        _MXBANK_CREDENTIALS
        if code == "mxbank"
        else tuple(f"CRD-{uuid.uuid5(_NAMESPACE, f'{code}/{field}')}" for field in ("LOGIN", "PASSWORD"))
    )
    return (
        CredentialField(guids[0], "LOGIN", "TEXT", "Username", 1),
        CredentialField(guids[1], "PASSWORD", "PASSWORD", "Password", 2),
    )


def _routing_numbers(code: str, name: str, country: str) -> tuple[str, ...]:
    """An invented number; for Canada in its electronic form, 0YYYXXXXX.

    It uses Federal Reserve districts 10 to 12, or 21 to 32 for thrifts and credit unions. None begins with a
    zero, so the number is the same as a JSON integer. The third digit is 9, which no number in the Federal
    Reserve's directory has, so a payment to it cannot reach a real bank.
    """
    rng = seeded("routing", code)
    if country == "CA":
        return (f"09{digits(rng, 7)}",)
    is_thrift = any(word in name for word in ("Credit Union", "Savings", "MXCU"))
    district = 21 + int(rng.random() * 12) if is_thrift else 10 + int(rng.random() * 3)
    own = routing_number(f"{district}9{digits(rng, 5)}")
    return (own, MXBANK_SEARCH_NUMBER) if code == "mxbank" else (own,)


def _code(name: str) -> str:
    """`Caisse Érablière` -> `caisse_erabliere`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "_".join("".join(c if c.isalnum() else " " for c in plain).split())
