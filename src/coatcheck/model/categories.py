"""The default categories of transactions: MX's names, with guids that are the same everywhere."""

from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

TREE: dict[str, tuple[str, ...]] = {
    "Auto & Transport": (
        "Auto Insurance", "Auto Payment", "Gas", "Parking", "Public Transportation", "Rental Car & Taxi",
        "Service & Parts",
    ),
    "Bills & Utilities": ("Domain Names", "Internet", "Mobile Phone", "Television", "Utilities"),
    "Business Services": ("Advertising", "Legal", "Office Supplies", "Printing", "Shipping"),
    "Education": ("Books & Supplies", "Student Loan", "Tuition"),
    "Entertainment": ("Amusement", "Arts", "Movies & DVDs", "Music", "Newspapers & Magazines"),
    "Fees & Charges": ("ATM Fee", "Bank Fee", "Finance Charge", "Late Fee", "Service Fee", "Trade Commissions"),
    "Financial": ("Financial Advisor", "Life Insurance", "Loan Payment"),
    "Food & Dining": ("Alcohol & Bars", "Coffee Shops", "Fast Food", "Groceries", "Restaurants"),
    "Gifts & Donations": ("Charity", "Gift"),
    "Health & Fitness": ("Dentist", "Doctor", "Eyecare", "Gym", "Health Insurance", "Pharmacy", "Sports"),
    "Home": (
        "Furnishings", "Home Improvement", "Home Insurance", "Home Services", "Home Supplies",
        "Lawn & Garden", "Mortgage & Rent",
    ),
    "Income": (
        "Bonus", "Interest Income", "Paycheck", "Reimbursement", "Rental Income", "Returned Purchase",
    ),
    "Investments": ("Buy", "Deposit", "Dividend & Cap Gains", "Sell", "Withdrawal"),
    "Kids": ("Allowance", "Baby Supplies", "Babysitter & Daycare", "Child Support", "Kids Activities", "Toys"),
    "Personal Care": ("Hair", "Laundry", "Spa & Massage"),
    "Pets": ("Pet Food & Supplies", "Pet Grooming", "Veterinary"),
    "Shopping": ("Books", "Clothing", "Electronics & Software", "Hobbies", "Sporting Goods"),
    "Taxes": ("Federal Tax", "Local Tax", "Property Tax", "Sales Tax", "State Tax"),
    "Transfer": ("Credit Card Payment", "Transfer for Cash Spending", "Mortgage Payment"),
    "Travel": ("Air Travel", "Hotel", "Vacation"),
    "Uncategorized": ("Cash", "Check"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Category:
    guid: str
    name: str
    parent_guid: str | None


def _guid(name: str) -> str:
    return f"CAT-{uuid5(NAMESPACE_URL, f'coatcheck:category:{name}')}"


DEFAULTS: tuple[Category, ...] = tuple(
    category
    for parent, children in TREE.items()
    for category in (
        Category(_guid(parent), parent, None),
        *(Category(_guid(child), child, _guid(parent)) for child in children),
    )
)
BY_GUID = {category.guid: category for category in DEFAULTS}
BY_NAME = {category.name: category for category in DEFAULTS}


def categorize(name: str | None) -> tuple[Category, Category]:
    """The category with this name and its top-level category; Uncategorized if the name is unknown."""
    category = BY_NAME.get(name or "", BY_NAME["Uncategorized"])
    return category, BY_GUID[category.parent_guid] if category.parent_guid else category
