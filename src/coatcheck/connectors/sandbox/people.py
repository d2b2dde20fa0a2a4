"""Account owners: invented people and companies, the same for a login at every institution.

The names do not come from a library, because an upgrade of it would change the owners of every sandbox.
Telephone numbers are in the range 555-0100 to 555-0199, which is never assigned.
"""

import unicodedata
from dataclasses import dataclass
from typing import TypeVar

from coatcheck.connectors.contract import BankOwner
from coatcheck.connectors.sandbox.numbers import seeded

_T = TypeVar("_T")

_GIVEN = (
    "Ada", "Ana", "Amir", "Beatriz", "Bela", "Bruno", "Carmen", "Chidi", "Clara", "Dana", "Darius",
    "Delphine", "Elif", "Emil", "Esther", "Farah", "Felix", "Fiona", "Gideon", "Greta", "Hana", "Hugo",
    "Imani", "Ines", "Ivan", "Jamal", "Joana", "Jonas", "Kavya", "Kenji", "Lars", "Leila", "Linh",
    "Lucia", "Mateo", "Mei", "Mina", "Nadia", "Nils", "Noor", "Olga", "Oscar", "Paloma", "Pavel",
    "Priya", "Quinn", "Rafael", "Renée", "Rosa", "Samir", "Silas", "Sofia", "Tariq", "Tessa", "Tomás",
    "Una", "Viktor", "Wanda", "Yara", "Zoë",
)  # fmt: skip
_FAMILY = (
    "Abara", "Albrecht", "Almeida", "Anand", "Bakker", "Barlow", "Bautista", "Bergström", "Castellanos",
    "Chen", "Delacroix", "Dimitrov", "Eriksen", "Faulkner", "Ferreira", "Fitzgerald", "Gallo", "Girard",
    "Haddad", "Hartwell", "Hayashi", "Ibrahim", "Ivers", "Jansen", "Kaplan", "Kowalski", "Larkin",
    "Lindqvist", "Lockhart", "MacAllister", "Marchetti", "Mbeki", "Moreau", "Nakamura", "Navarro",
    "Nguyen", "O'Dowd", "Okafor", "Oyelaran", "Pemberton", "Petrov", "Quiñones", "Ramaswamy",
    "Rasmussen", "Rossi", "Sandoval", "Schaefer", "Silva", "Sokolov", "Takahashi", "Thornbury", "Ueda",
    "Valdez", "Van Houten", "Weatherby", "Whitlock", "Xu", "Yilmaz", "Zamora", "Ziegler",
)  # fmt: skip
_STREETS = (
    "Alder Street", "Birchwood Avenue", "Canal Road", "Dovecote Lane", "Elmhurst Drive",
    "Fairview Court", "Granary Row", "Hawthorn Way", "Ironmonger Lane", "Juniper Circle",
    "Kingfisher Place", "Linden Avenue", "Mill Pond Road", "Northgate Street", "Orchard Terrace",
    "Poplar Boulevard", "Quarry Hill", "Rosemary Lane", "Sycamore Drive", "Tanner Street",
    "Upland Road", "Vineyard Avenue", "Willow Bend", "Yarrow Court",
)  # fmt: skip
_UNITED_STATES = (
    ("Portland", "OR", "97205", "503"),
    ("Columbus", "OH", "43215", "614"),
    ("Albany", "NY", "12207", "518"),
    ("Seattle", "WA", "98101", "206"),
    ("Denver", "CO", "80202", "303"),
    ("Oakland", "CA", "94607", "510"),
    ("Chicago", "IL", "60605", "312"),
    ("Tulsa", "OK", "74103", "918"),
    ("Austin", "TX", "78701", "512"),
    ("Wichita", "KS", "67202", "316"),
    ("Boston", "MA", "02116", "617"),
    ("Richmond", "VA", "23219", "804"),
    ("Nashville", "TN", "37203", "615"),
    ("Boise", "ID", "83702", "208"),
    ("Madison", "WI", "53703", "608"),
    ("Savannah", "GA", "31401", "912"),
    ("Provo", "UT", "84601", "801"),
    ("Burlington", "VT", "05401", "802"),
)
_CANADA = (
    ("Toronto", "ON", "M5V 2T6", "416"),
    ("Montréal", "QC", "H2Y 1C6", "514"),
    ("Halifax", "NS", "B3J 1S9", "902"),
    ("Calgary", "AB", "T2P 1J9", "403"),
    ("Winnipeg", "MB", "R3C 0V8", "204"),
    ("Victoria", "BC", "V8W 1P6", "250"),
)
_TRADES = (
    "Ceramics",
    "Consulting",
    "Landscaping",
    "Joinery",
    "Bakery",
    "Design Studio",
    "Logistics",
    "Optics",
)


@dataclass(frozen=True, slots=True)
class OwnerTraits:
    is_company: bool = False
    in_canada: bool = False
    has_name_parts: bool = True
    """False for a full name only, as at MX Bank."""
    spells_name_otherwise: bool = False
    has_phone: bool = True
    has_post_office_box: bool = False


def owner(seed: int, login_name: str, position: int, account_id: str, traits: OwnerTraits) -> BankOwner:
    """The owner at this position of the login's accounts. All owners of a login have the same address."""
    address_rng = seeded(seed, "home", login_name, traits.in_canada)
    city, state, postal_code, area = _choose(
        address_rng.random(), _CANADA if traits.in_canada else _UNITED_STATES
    )
    number = 100 + int(address_rng.random() * 9800)
    address = (
        f"PO Box {number}"
        if traits.has_post_office_box
        else f"{number} {_choose(address_rng.random(), _STREETS)}"
    )
    rng = seeded(seed, "person", login_name, position)
    first, last = _choose(rng.random(), _GIVEN), _choose(rng.random(), _FAMILY)
    company = f"{last} {_choose(rng.random(), _TRADES)} LLC"
    if traits.spells_name_otherwise:
        company = _plain_capitals(company)
        first, last = f"{_plain_capitals(first)} {_plain_capitals(last)[0]}", f"{_plain_capitals(last)} JR"
    has_name_parts = traits.has_name_parts and not traits.is_company
    return BankOwner(
        account_id=account_id,
        owner_name=company if traits.is_company else f"{first} {last}",
        first_name=first if has_name_parts else None,
        last_name=last if has_name_parts else None,
        address=address,
        city=city,
        state=state,
        postal_code=postal_code,
        country="CA" if traits.in_canada else "US",
        email=f"customer-{int(rng.random() * 10**8):08}@mail.example",
        phone=f"+1{area}55501{int(rng.random() * 100):02}" if traits.has_phone else None,
    )


def _plain_capitals(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper()


def _choose(chance: float, choices: tuple[_T, ...]) -> _T:
    return choices[int(chance * len(choices))]
