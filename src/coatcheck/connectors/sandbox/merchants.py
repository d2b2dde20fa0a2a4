"""Where the sandbox's households spend and who bills and pays them. Every name is made up.

An `Entry` is all that a transaction says besides its amount and time; each is built once and shared by all
the transactions that look alike.
"""

from dataclasses import dataclass, replace

from coatcheck.connectors.contract import Merchant


@dataclass(frozen=True, slots=True)
class Entry:
    description: str
    original_description: str
    category: str
    """The name of a category of MX's list."""
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
    """A merchant with its range of prices, in cents."""

    entry: Entry
    refund: Entry
    low: int
    high: int
    is_tipped: bool = False
    """The authorization does not include the tip."""
    is_pump: bool = False
    """The authorization is 1.00, whatever the price."""


@dataclass(frozen=True, slots=True)
class Market:
    """The shops of a persona; a shop is listed as often as it is likely."""

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
    """+1 for higher amounts in summer, -1 for higher amounts in winter."""
    is_on_card: bool = False
    """Paid with the credit card, if the household has one."""


@dataclass(frozen=True, slots=True)
class _ShopRow:
    """A row of the tables of shops; prices in whole dollars."""

    name: str
    code: int
    category: str
    low: int
    high: int
    city: str
    state: str | None
    country: str = "US"
    is_tipped: bool = False
    is_pump: bool = False

    def shop(self) -> Shop:
        entry = Entry(
            description=self.name,
            original_description=self._text("PURCHASE"),
            category=self.category,
            merchant=self.name,
            merchant_category_code=self.code,
            extended_transaction_type="POINT_OF_SALE",
            is_international=self.country != "US",
            city=self.city,
            state=self.state,
            country=self.country,
        )
        refund = replace(
            entry,
            description=f"{self.name} Refund",
            original_description=self._text("RETURN"),
            category="Returned Purchase",
        )
        return Shop(entry, refund, self.low * 100, self.high * 100, self.is_tipped, self.is_pump)

    def _text(self, what: str) -> str:
        location = f"{self.city} {self.state or self.country}".upper()
        return f"POS {what} {self.name.upper()} {self.code} {location}"


@dataclass(frozen=True, slots=True)
class _BillRow:
    """A row of the tables of bills; the cap in whole dollars."""

    name: str
    code: int
    category: str
    share: float
    cap: int
    day: int
    season: int = 0
    is_subscription: bool = False

    def bill(self) -> Biller:
        kind = "RECURRING" if self.is_subscription else "ACH DEBIT"
        entry = Entry(
            description=self.name,
            original_description=f"{kind} {self.name.upper()} {self.code}",
            category=self.category,
            merchant=self.name,
            merchant_category_code=self.code,
            extended_transaction_type="POINT_OF_SALE" if self.is_subscription else "ACH",
            is_bill_pay=not self.is_subscription,
            is_recurring=True,
            is_subscription=self.is_subscription,
            recurrence="SUBSCRIPTION" if self.is_subscription else "BILL",
            country="US",
        )
        return Biller(
            entry, self.share, self.cap * 100, self.day, self.season, is_on_card=self.is_subscription
        )


GROCER = _ShopRow("Larder & Leaf", 5411, "Groceries", 35, 160, "Portland", "OR").shop()

_OFTEN = (
    GROCER,
    _ShopRow("Basketweave Market", 5411, "Groceries", 12, 95, "Columbus", "OH").shop(),
    _ShopRow("Corner Marrow Deli", 5411, "Groceries", 6, 38, "Albany", "NY").shop(),
    _ShopRow("Bittern & Bean", 5814, "Coffee Shops", 4, 13, "Seattle", "WA").shop(),
    _ShopRow("Second Kettle Coffee", 5814, "Coffee Shops", 3, 11, "Denver", "CO").shop(),
    _ShopRow("Paper Crane Noodles", 5812, "Restaurants", 18, 64, "Oakland", "CA", is_tipped=True).shop(),
    _ShopRow("The Copper Ladle", 5812, "Restaurants", 24, 118, "Chicago", "IL", is_tipped=True).shop(),
    _ShopRow("Bunhopper", 5814, "Fast Food", 7, 21, "Tulsa", "OK").shop(),
    _ShopRow("Taco Meridian", 5814, "Fast Food", 6, 24, "Austin", "TX").shop(),
    _ShopRow("Pumpjack Fuel", 5542, "Gas", 22, 74, "Wichita", "KS", is_pump=True).shop(),
    _ShopRow("Milepost 9 Gas", 5542, "Gas", 18, 68, "Reno", "NV", is_pump=True).shop(),
    _ShopRow("Tramline Transit", 4111, "Public Transportation", 2, 14, "Boston", "MA").shop(),
)
_SOMETIMES = (
    _ShopRow("Hailaway Rides", 4121, "Rental Car & Taxi", 8, 46, "San Diego", "CA", is_tipped=True).shop(),
    _ShopRow("Mortar & Pill", 5912, "Pharmacy", 5, 58, "Richmond", "VA").shop(),
    _ShopRow("Threadneedle Row", 5651, "Clothing", 18, 140, "Nashville", "TN").shop(),
    _ShopRow("Sparrow Outfitters", 5655, "Clothing", 22, 165, "Boise", "ID").shop(),
    _ShopRow("Gizmo Orchard", 5732, "Electronics & Software", 15, 260, "San Jose", "CA").shop(),
    _ShopRow("Everything Barge", 5311, "Shopping", 9, 130, "Memphis", "TN").shop(),
    _ShopRow("Dogear Books", 5942, "Books", 8, 52, "Ann Arbor", "MI").shop(),
    _ShopRow("Velvet Rope Cinema", 7832, "Movies & DVDs", 11, 44, "Phoenix", "AZ").shop(),
    _ShopRow("Needle & Groove", 5735, "Music", 9, 48, "Detroit", "MI").shop(),
    _ShopRow("Wagtail Pets", 5995, "Pet Food & Supplies", 14, 92, "Omaha", "NE").shop(),
    _ShopRow("Hinge & Hammer", 5200, "Home", 12, 180, "Toledo", "OH").shop(),
    _ShopRow("Curl & Comb", 7230, "Personal Care", 20, 95, "Miami", "FL", is_tipped=True).shop(),
)
_RARELY = (
    _ShopRow("Dr. Ottoline Marsh", 8011, "Doctor", 25, 210, "Madison", "WI").shop(),
    _ShopRow("Kitebird Airlines", 4511, "Air Travel", 120, 480, "Atlanta", "GA").shop(),
    _ShopRow("Inn of the Blue Heron", 7011, "Hotel", 95, 380, "Savannah", "GA").shop(),
    _ShopRow("Roundabout Car Hire", 7512, "Rental Car & Taxi", 60, 240, "Orlando", "FL").shop(),
    _ShopRow("Open Palm Relief", 8398, "Charity", 10, 100, "Baltimore", "MD").shop(),
    _ShopRow("Ribbon & Bow", 5947, "Gift", 12, 90, "Charleston", "SC").shop(),
    _ShopRow(
        "Café du Pont Rouge", 5812, "Restaurants", 14, 75, "Lyon", None, country="FR", is_tipped=True
    ).shop(),
    _ShopRow("Harborside Wools", 5651, "Clothing", 30, 160, "Galway", None, country="IE").shop(),
)


_TRADE = (
    _ShopRow("Inkwell Paper Supply", 5943, "Office Supplies", 14, 180, "Cleveland", "OH").shop(),
    _ShopRow("Crate & Courier", 4215, "Shipping", 9, 140, "Louisville", "KY").shop(),
    _ShopRow("Timberline Wholesale", 5039, "Business Services", 80, 900, "Spokane", "WA").shop(),
    _ShopRow("Broadsheet Ads", 7311, "Advertising", 40, 420, "New York", "NY").shop(),
    _ShopRow("Pressroom Print", 2741, "Printing", 20, 240, "Tampa", "FL").shop(),
)


def _market(shops: tuple[Shop, ...]) -> Market:
    return Market(shops, sum(shop.low + shop.high for shop in shops) / 2 / len(shops))


EVERYDAY = _market(_OFTEN * 8 + _SOMETIMES * 2 + _RARELY)
COMMERCIAL = _market(_TRADE * 5 + _OFTEN + _SOMETIMES[:3] + _RARELY[1:3])
"""Of a small business."""

RENT = _BillRow("Gablewood Property Management", 6513, "Mortgage & Rent", 0.27, 10**7, 1).bill()
HOUSEHOLD_BILLS = (
    _BillRow("Brightwater Power", 4900, "Utilities", 0.018, 190, 14, season=1).bill(),
    _BillRow("Hearthline Gas", 4900, "Utilities", 0.014, 160, 11, season=-1).bill(),
    _BillRow("Clearbrook Water", 4900, "Utilities", 0.008, 70, 17).bill(),
    _BillRow("Threadwire Internet", 4899, "Internet", 0.012, 85, 8).bill(),
    _BillRow("Chirp Mobile", 4814, "Mobile Phone", 0.014, 95, 19).bill(),
    _BillRow("Shieldbug Auto Insurance", 6300, "Auto Insurance", 0.020, 165, 6).bill(),
    _BillRow("Lumen Reel", 4899, "Television", 0.004, 19, 5, is_subscription=True).bill(),
    _BillRow("Tunesmith", 5735, "Music", 0.003, 12, 13, is_subscription=True).bill(),
    _BillRow("Kettlebell Hall", 7997, "Gym", 0.008, 49, 3, is_subscription=True).bill(),
)
SPARSE_BILLS = (
    _BillRow("Chirp Mobile", 4814, "Mobile Phone", 0.025, 45, 19).bill(),
    _BillRow("Lumen Reel", 4899, "Television", 0.008, 15, 5, is_subscription=True).bill(),
    _BillRow("Tunesmith", 5735, "Music", 0.005, 11, 13, is_subscription=True).bill(),
)
COMMERCIAL_BILLS = (
    _BillRow("Gablewood Property Management", 6513, "Mortgage & Rent", 0.08, 10**7, 1).bill(),
    _BillRow("Paystub Payroll", 8931, "Business Services", 0.17, 10**7, 2).bill(),
    _BillRow("Paystub Payroll", 8931, "Business Services", 0.17, 10**7, 16).bill(),
    _BillRow("Treasury Remittance", 9311, "Federal Tax", 0.07, 10**7, 15).bill(),
    _BillRow("Brightwater Power", 4900, "Utilities", 0.012, 600, 14, season=1).bill(),
    _BillRow("Threadwire Internet", 4899, "Internet", 0.006, 180, 8).bill(),
    _BillRow("Ledgerleaf Books", 5734, "Electronics & Software", 0.003, 90, 4, is_subscription=True).bill(),
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
VENDING = _ShopRow("Clatterbox Vending", 5814, "Fast Food", 1, 3, "Dayton", "OH").shop()


def pay(source: str, category: str = "Paycheck") -> Entry:
    """Pay from an employer, a platform or a pension."""
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
    """The merchants of all entries."""
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
