"""Where the sandbox's households spend and who bills and pays them. Every name is made up.

An `Entry` is all that a transaction says besides its amount and time; each is built once and shared by all
the transactions that look alike.
"""

from dataclasses import dataclass

from coatcheck.connectors.contract import Merchant


@dataclass(frozen=True, slots=True)
class Entry:
    description: str
    original_description: str
    category: str
    """A name out of `model.categories`."""
    merchant: str | None = None
    merchant_category_code: int | None = None
    extended_transaction_type: str | None = None
    is_bill_pay: bool = False
    is_direct_deposit: bool = False
    is_fee: bool = False
    is_income: bool = False
    is_international: bool = False
    is_overdraft_fee: bool = False
    is_recurring: bool = False
    is_subscription: bool = False
    recurrence: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Shop:
    """A place to buy, with the prices it draws from, in cents."""

    entry: Entry
    refund: Entry
    low: int
    high: int
    is_tipped: bool = False
    """The authorization lacks the tip."""
    is_pump: bool = False
    """The authorization is 1.00, whatever is filled."""


@dataclass(frozen=True, slots=True)
class Market:
    """Where somebody shops; a shop stands in it as often as it is likely."""

    shops: tuple[Shop, ...]
    mean_price: float
    """In cents."""


@dataclass(frozen=True, slots=True)
class Biller:
    """A monthly bill: a share of the household's income, up to a cap, in cents."""

    entry: Entry
    share: float
    cap: int
    day: int
    season: int = 0
    """+1 dearer in summer, -1 dearer in winter."""
    is_on_card: bool = False
    """Goes to the credit card where the household has one."""


def _shop(
    name: str,
    code: int,
    category: str,
    low: int,
    high: int,
    city: str,
    state: str | None,
    *,
    country: str = "US",
    is_tipped: bool = False,
    is_pump: bool = False,
) -> Shop:
    place = f"{city} {state or country}".upper()
    entry = Entry(
        description=name,
        original_description=f"POS PURCHASE {name.upper()} {code} {place}",
        category=category,
        merchant=name,
        merchant_category_code=code,
        extended_transaction_type="POINT_OF_SALE",
        is_international=country != "US",
        city=city,
        state=state,
        country=country,
    )
    refund = Entry(
        description=f"{name} Refund",
        original_description=f"POS RETURN {name.upper()} {code} {place}",
        category="Returned Purchase",
        merchant=name,
        merchant_category_code=code,
        extended_transaction_type="POINT_OF_SALE",
        is_international=country != "US",
        city=city,
        state=state,
        country=country,
    )
    return Shop(entry, refund, low * 100, high * 100, is_tipped, is_pump)


def _bill(
    name: str,
    code: int,
    category: str,
    share: float,
    cap: int,
    day: int,
    *,
    season: int = 0,
    is_subscription: bool = False,
) -> Biller:
    entry = Entry(
        description=name,
        original_description=f"{'RECURRING' if is_subscription else 'ACH DEBIT'} {name.upper()} {code}",
        category=category,
        merchant=name,
        merchant_category_code=code,
        extended_transaction_type="POINT_OF_SALE" if is_subscription else "ACH",
        is_bill_pay=not is_subscription,
        is_recurring=True,
        is_subscription=is_subscription,
        recurrence="SUBSCRIPTION" if is_subscription else "BILL",
        country="US",
    )
    return Biller(entry, share, cap * 100, day, season, is_on_card=is_subscription)


GROCER = _shop("Larder & Leaf", 5411, "Groceries", 35, 160, "Portland", "OR")

_OFTEN = (
    GROCER,
    _shop("Basketweave Market", 5411, "Groceries", 12, 95, "Columbus", "OH"),
    _shop("Corner Marrow Deli", 5411, "Groceries", 6, 38, "Albany", "NY"),
    _shop("Bittern & Bean", 5814, "Coffee Shops", 4, 13, "Seattle", "WA"),
    _shop("Second Kettle Coffee", 5814, "Coffee Shops", 3, 11, "Denver", "CO"),
    _shop("Paper Crane Noodles", 5812, "Restaurants", 18, 64, "Oakland", "CA", is_tipped=True),
    _shop("The Copper Ladle", 5812, "Restaurants", 24, 118, "Chicago", "IL", is_tipped=True),
    _shop("Bunhopper", 5814, "Fast Food", 7, 21, "Tulsa", "OK"),
    _shop("Taco Meridian", 5814, "Fast Food", 6, 24, "Austin", "TX"),
    _shop("Pumpjack Fuel", 5542, "Gas", 22, 74, "Wichita", "KS", is_pump=True),
    _shop("Milepost 9 Gas", 5542, "Gas", 18, 68, "Reno", "NV", is_pump=True),
    _shop("Tramline Transit", 4111, "Public Transportation", 2, 14, "Boston", "MA"),
)
_SOMETIMES = (
    _shop("Hailaway Rides", 4121, "Rental Car & Taxi", 8, 46, "San Diego", "CA", is_tipped=True),
    _shop("Mortar & Pill", 5912, "Pharmacy", 5, 58, "Richmond", "VA"),
    _shop("Threadneedle Row", 5651, "Clothing", 18, 140, "Nashville", "TN"),
    _shop("Sparrow Outfitters", 5655, "Clothing", 22, 165, "Boise", "ID"),
    _shop("Gizmo Orchard", 5732, "Electronics & Software", 15, 260, "San Jose", "CA"),
    _shop("Everything Barge", 5311, "Shopping", 9, 130, "Memphis", "TN"),
    _shop("Dogear Books", 5942, "Books", 8, 52, "Ann Arbor", "MI"),
    _shop("Velvet Rope Cinema", 7832, "Movies & DVDs", 11, 44, "Phoenix", "AZ"),
    _shop("Needle & Groove", 5735, "Music", 9, 48, "Detroit", "MI"),
    _shop("Wagtail Pets", 5995, "Pet Food & Supplies", 14, 92, "Omaha", "NE"),
    _shop("Hinge & Hammer", 5200, "Home", 12, 180, "Toledo", "OH"),
    _shop("Curl & Comb", 7230, "Personal Care", 20, 95, "Miami", "FL", is_tipped=True),
)
_RARELY = (
    _shop("Dr. Ottoline Marsh", 8011, "Doctor", 25, 210, "Madison", "WI"),
    _shop("Kitebird Airlines", 4511, "Air Travel", 120, 480, "Atlanta", "GA"),
    _shop("Inn of the Blue Heron", 7011, "Hotel", 95, 380, "Savannah", "GA"),
    _shop("Roundabout Car Hire", 7512, "Rental Car & Taxi", 60, 240, "Orlando", "FL"),
    _shop("Open Palm Relief", 8398, "Charity", 10, 100, "Baltimore", "MD"),
    _shop("Ribbon & Bow", 5947, "Gift", 12, 90, "Charleston", "SC"),
    _shop("Café du Pont Rouge", 5812, "Restaurants", 14, 75, "Lyon", None, country="FR", is_tipped=True),
    _shop("Harborside Wools", 5651, "Clothing", 30, 160, "Galway", None, country="IE"),
)


_TRADE = (
    _shop("Inkwell Paper Supply", 5943, "Office Supplies", 14, 180, "Cleveland", "OH"),
    _shop("Crate & Courier", 4215, "Shipping", 9, 140, "Louisville", "KY"),
    _shop("Timberline Wholesale", 5039, "Business Services", 80, 900, "Spokane", "WA"),
    _shop("Broadsheet Ads", 7311, "Advertising", 40, 420, "New York", "NY"),
    _shop("Pressroom Print", 2741, "Printing", 20, 240, "Tampa", "FL"),
)


def _market(shops: tuple[Shop, ...]) -> Market:
    return Market(shops, sum(shop.low + shop.high for shop in shops) / 2 / len(shops))


EVERYDAY = _market(_OFTEN * 8 + _SOMETIMES * 2 + _RARELY)
COMMERCIAL = _market(_TRADE * 5 + _OFTEN + _SOMETIMES[:3] + _RARELY[1:3])
"""Of a small business."""

RENT = _bill("Gablewood Property Management", 6513, "Mortgage & Rent", 0.27, 10**7, 1)
HOUSEHOLD_BILLS = (
    _bill("Brightwater Power", 4900, "Utilities", 0.018, 190, 14, season=1),
    _bill("Hearthline Gas", 4900, "Utilities", 0.014, 160, 11, season=-1),
    _bill("Clearbrook Water", 4900, "Utilities", 0.008, 70, 17),
    _bill("Threadwire Internet", 4899, "Internet", 0.012, 85, 8),
    _bill("Chirp Mobile", 4814, "Mobile Phone", 0.014, 95, 19),
    _bill("Shieldbug Auto Insurance", 6300, "Auto Insurance", 0.020, 165, 6),
    _bill("Lumen Reel", 4899, "Television", 0.004, 19, 5, is_subscription=True),
    _bill("Tunesmith", 5735, "Music", 0.003, 12, 13, is_subscription=True),
    _bill("Kettlebell Hall", 7997, "Gym", 0.008, 49, 3, is_subscription=True),
)
SPARSE_BILLS = (
    _bill("Chirp Mobile", 4814, "Mobile Phone", 0.025, 45, 19),
    _bill("Lumen Reel", 4899, "Television", 0.008, 15, 5, is_subscription=True),
    _bill("Tunesmith", 5735, "Music", 0.005, 11, 13, is_subscription=True),
)
COMMERCIAL_BILLS = (
    _bill("Gablewood Property Management", 6513, "Mortgage & Rent", 0.08, 10**7, 1),
    _bill("Paystub Payroll", 8931, "Business Services", 0.17, 10**7, 2),
    _bill("Paystub Payroll", 8931, "Business Services", 0.17, 10**7, 16),
    _bill("Treasury Remittance", 9311, "Federal Tax", 0.07, 10**7, 15),
    _bill("Brightwater Power", 4900, "Utilities", 0.012, 600, 14, season=1),
    _bill("Threadwire Internet", 4899, "Internet", 0.006, 180, 8),
    _bill("Ledgerleaf Books", 5734, "Electronics & Software", 0.003, 90, 4, is_subscription=True),
)
EMPLOYERS = (
    "Cindercone Robotics", "Maplehurst Hospital", "Fernhollow School District", "Quarterdeck Logistics",
    "Bluepeg Software", "Saltbox Furniture", "Northlight Energy", "Gannet Foods",
)  # fmt: skip
PLATFORMS = ("Hailaway Partner Pay", "Pedalpost Courier", "Oddjobber", "Snackdash Courier Pay")
CUSTOMERS = ("Weathervane Hotels", "Osier Basket Co", "Tern Island Resort", "Pallet & Peg", "Hobnail Studio")
FRIENDS = ("Sam", "Priya", "Lena", "Marcus", "Yuki", "Omar", "Greta", "Tomás")

ATM = Entry(
    description="ATM Withdrawal",
    original_description="ATM WITHDRAWAL 004417",
    category="Cash",
    extended_transaction_type="ATM",
    country="US",
)
ATM_FEE = Entry(
    description="ATM Fee",
    original_description="NON-NETWORK ATM FEE",
    category="ATM Fee",
    extended_transaction_type="FEE",
    is_fee=True,
)
FOREIGN_FEE = Entry(
    description="Foreign Transaction Fee",
    original_description="FOREIGN TRANSACTION FEE 3%",
    category="Service Fee",
    extended_transaction_type="FEE",
    is_fee=True,
)
MAINTENANCE_FEE = Entry(
    description="Monthly Maintenance Fee",
    original_description="MONTHLY MAINTENANCE FEE",
    category="Bank Fee",
    extended_transaction_type="FEE",
    is_fee=True,
    is_recurring=True,
)
OVERDRAFT_FEE = Entry(
    description="Overdraft Fee",
    original_description="OVERDRAFT ITEM FEE",
    category="Bank Fee",
    extended_transaction_type="FEE",
    is_fee=True,
    is_overdraft_fee=True,
)
CHECK = Entry(
    description="Check",
    original_description="CHECK PAID",
    category="Check",
    extended_transaction_type="CHECK",
)
INTEREST_PAID = Entry(
    description="Interest Paid",
    original_description="INTEREST PAYMENT",
    category="Interest Income",
    extended_transaction_type="INTEREST",
    is_income=True,
    is_recurring=True,
)
INTEREST_CHARGE = Entry(
    description="Interest Charge",
    original_description="INTEREST CHARGE",
    category="Finance Charge",
    extended_transaction_type="INTEREST",
    is_fee=True,
)
DISBURSEMENT = Entry(
    description="Loan Disbursement",
    original_description="LOAN PROCEEDS DISBURSED",
    category="Transfer",
    extended_transaction_type="LOAN",
)
DIVIDEND = Entry(
    description="Dividend",
    original_description="DIVIDEND RECEIVED",
    category="Dividend & Cap Gains",
    extended_transaction_type="DIVIDEND",
    is_income=True,
)
BUY = Entry(
    description="Fund Purchase",
    original_description="BUY COMPASS ROSE INDEX FUND",
    category="Buy",
    extended_transaction_type="BUY",
)
EMPLOYER_CONTRIBUTION = Entry(
    description="Payroll Contribution",
    original_description="EMPLOYEE AND EMPLOYER CONTRIBUTION",
    category="Deposit",
    extended_transaction_type="CONTRIBUTION",
)
SWEEP_OUT = Entry(
    description="Automatic Sweep",
    original_description="AUTOMATIC SWEEP TO OUTSIDE ACCOUNT",
    category="Transfer",
    extended_transaction_type="TRANSFER",
)
SWEEP_IN = Entry(
    description="Automatic Sweep",
    original_description="AUTOMATIC SWEEP FROM OUTSIDE ACCOUNT",
    category="Transfer",
    extended_transaction_type="TRANSFER",
)
VENDING = _shop("Clatterbox Vending", 5814, "Fast Food", 1, 3, "Dayton", "OH")


def pay(source: str, category: str = "Paycheck") -> Entry:
    """What an employer, a platform or a pension pays in."""
    return Entry(
        description=source,
        original_description=f"{source.upper()} PAYROLL PPD",
        category=category,
        extended_transaction_type="DIRECT_DEPOSIT",
        is_direct_deposit=True,
        is_income=True,
        is_recurring=True,
        recurrence="INCOME",
    )


def sent_to(friend: str) -> Entry:
    return Entry(
        description=f"Pingpay to {friend}",
        original_description=f"PINGPAY P2P SENT {friend.upper()}",
        category="Transfer",
        extended_transaction_type="P2P",
    )


def received_from(friend: str) -> Entry:
    return Entry(
        description=f"Pingpay from {friend}",
        original_description=f"PINGPAY P2P RECEIVED {friend.upper()}",
        category="Transfer",
        extended_transaction_type="P2P",
    )


def merchants() -> tuple[Merchant, ...]:
    """Everyone an `Entry` names as its merchant."""
    entries = [shop.entry for shop in (*_OFTEN, *_SOMETIMES, *_RARELY, *_TRADE, VENDING)]
    entries += [bill.entry for bill in (*HOUSEHOLD_BILLS, *COMMERCIAL_BILLS, RENT)]
    return tuple(
        Merchant(
            name=name,
            website_url=f"https://www.{_host(name)}.example",
            merchant_category_code=entry.merchant_category_code,
            city=entry.city,
            state=entry.state,
        )
        for name, entry in {str(entry.merchant): entry for entry in entries}.items()
    )


def _host(name: str) -> str:
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name.lower()).split()
    return "-".join(words)
