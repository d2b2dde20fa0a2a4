"""The movements of a household's accounts, month by month.

Each month is computed separately, from random values seeded with the household and the day. A transfer from checking
adjusts every other account to its next opening balance, and purchases adjust checking. Times are whole minutes: a
date's ordinal times 1,440 plus the minute of the day in UTC.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, lru_cache, partial
from itertools import accumulate
from random import Random
from typing import NamedTuple

from coatcheck.connectors.sandbox import merchants
from coatcheck.connectors.sandbox.household import Account, Household, first_day, opening
from coatcheck.connectors.sandbox.merchants import Biller, Entry, Shop
from coatcheck.connectors.sandbox.numbers import seeded
from coatcheck.connectors.sandbox.personas import Kind

DAY = 1440
UNIX_EPOCH = date(1970, 1, 1).toordinal() * DAY * 60
"""The Unix epoch in seconds of the time scale."""
_NIGHT, _MORNING, _AFTERNOON = 300, 660, 960
"""Minutes of the day for the bank's own entries, for credits and bills, and for the customer's actions."""
_LAGS = ((1, 2, 3), (1, 2, 3), (1, 2), (1,), (3,), (2, 3), (1, 2, 3))
"""Days until a purchase posts, by weekday from Monday. Banks do not post at weekends."""
_SUMMER = (0.8, 0.8, 0.85, 0.9, 1.0, 1.2, 1.35, 1.35, 1.15, 0.95, 0.85, 0.8)
_WINTER = (1.6, 1.5, 1.3, 1.0, 0.7, 0.5, 0.45, 0.45, 0.55, 0.8, 1.2, 1.5)
_SEASONS = {0: (1.0,) * 12, 1: _SUMMER, -1: _WINTER}
LONGEST_LAG = 3 * DAY
"""More than the time between a movement and its posting. Up to this much of a month is in the next one."""
KEPT_MONTHS = 256
"""Months that stay in memory, about 32 kB each: a daily aggregation reads the same two as that of the day before."""
_MOST_PURCHASES_A_DAY = 1.3
"""On average, without the groceries on Saturdays. A larger budget increases the prices, not the number."""


class Movement(NamedTuple):
    id: str
    position: int
    """The position of the account in the household."""
    at: int
    posted: int
    cents: int
    """Negative for a debit."""
    authorized_cents: int
    """The amount while the movement is pending, for example without the tip."""
    entry: Entry
    memo: str | None
    check: str | None


class Posted(NamedTuple):
    """The movements of one account in a month, in the order of their posting."""

    times: Sequence[int]
    sums: Sequence[int]
    """Of the cents up to each of them."""

    def until(self, time: int) -> int:
        """The sum of the cents that have posted."""
        count = bisect_right(self.times, time)
        return self.sums[count - 1] if count else 0


class Month(NamedTuple):
    movements: Sequence[Movement]
    ordered: Sequence[Movement]
    """The movements by time, account and id."""
    times: Sequence[int]
    """Of the ordered movements."""
    openings: Sequence[int]
    """The opening balance of each account, by its position."""
    posted: Sequence[Posted]
    """By position."""
    payments: Sequence[Movement | None]
    """The transfer to each account, by its position."""


class _Details(NamedTuple):
    """The optional fields of a movement."""

    posted: int | None = None
    authorized_cents: int | None = None
    memo: str | None = None
    check: str | None = None


@dataclass(slots=True)
class _Month:
    """A month to which movements are added."""

    household: Household
    number: int
    first: int
    days: int
    chance: Random
    """Random values of the month; `daily` has those of each day."""
    daily: list[Random]
    movements: list[Movement] = field(default_factory=list)
    sums: Counter[int] = field(default_factory=Counter)
    """Cents by account."""
    written: Counter[int] = field(default_factory=Counter)
    """Movements by account."""

    def write(
        self,
        position: int,
        at: int,
        cents: int,
        entry: Entry,
        details: _Details | None = None,
    ) -> None:
        if not cents:
            return
        account = self.household.accounts[position]
        if account.is_closed:
            return
        self.written[position] = count = self.written[position] + 1
        details = details or _Details()
        self.movements.append(
            Movement(
                id=f"{account.id}-{self.number}-{count}",
                position=position,
                at=at,
                posted=details.posted or at,
                cents=cents,
                authorized_cents=cents if details.authorized_cents is None else details.authorized_cents,
                entry=entry,
                memo=details.memo,
                check=details.check,
            )
        )
        self.sums[position] += cents

    def on(self, day: int, minute: int) -> int:
        return _workday(self.first, day) * DAY + minute

    def missing_cents(self, position: int) -> int:
        """The difference between the balance so far and the next month's opening balance."""
        return (
            opening(self.household, position, self.number + 1)
            - opening(self.household, position, self.number)
            - self.sums[position]
        )


def months_of(household: Household) -> Callable[[int], Month]:
    """The months of the household, by their numbers."""
    # The additional movements of `many_tx` would fill the memory: the caller's function keeps them.
    if any(each.extra for each in household.accounts):
        return cache(partial(_month.__wrapped__, household))
    return partial(_month, household)


def movements(household: Household, first_month: int, last_month: int) -> list[Movement]:
    """The movements of these months, both included."""
    month = months_of(household)
    return [each for number in range(first_month, last_month + 1) for each in month(number).movements]


def new_movements(household: Household, times: Sequence[datetime]) -> Iterator[Movement]:
    """Two purchases and a refund in checking at each of these times, in addition to the month's movements."""
    account = household.accounts[0]
    for number, time in enumerate(times):
        draw = seeded(household.key, "new", number).random
        bought, returned = 1000 + int(draw() * 9000), 500 + int(draw() * 400)
        rows = [(merchants.GROCER.entry, -bought), (merchants.VENDING.entry, -returned)]
        rows.append((merchants.VENDING.refund, returned))
        if account.fixed_balance is not None:
            rows.append((merchants.SWEEP_IN, bought))
        at = minutes_of(time)
        for count, (entry, cents) in enumerate([] if account.is_closed else rows):
            id = f"{account.id}-new-{number}-{count}"
            yield Movement(id, 0, at, at, cents, cents, entry, None, None)


def minutes_of(time: datetime) -> int:
    """The time on the scale of the movements."""
    return (int(time.timestamp()) + UNIX_EPOCH) // 60


def transfer_time(account: Account, month: int) -> int:
    """The time of the month's payment or transfer between checking and the account."""
    return _workday(first_day(month), 5 + account.phase % 17) * DAY + _AFTERNOON


def _workday(first: int, day: int) -> int:
    """The ordinal of that day of the month, or of the next Monday if the day is in a weekend."""
    ordinal = first + day - 1
    weekday = (ordinal - 1) % 7
    return ordinal + (7 - weekday if weekday >= 5 else 0)


@lru_cache(maxsize=KEPT_MONTHS)
def _month(household: Household, number: int) -> Month:
    movements = _written(household, number)
    positions = range(len(household.accounts))
    ordered = sorted(movements, key=lambda each: (each.at, each.position, each.id))
    return Month(
        movements=movements,
        ordered=ordered,
        times=array("q", [each.at for each in ordered]),
        openings=[opening(household, position, number) for position in positions],
        posted=[_posted(movements, position) for position in positions],
        payments=[
            next(
                (each for each in movements if each.position == position and each.memo and each.cents > 0),
                None,
            )
            for position in positions
        ],
    )


def _posted(movements: Sequence[Movement], position: int) -> Posted:
    amounts = sorted((each.posted, each.cents) for each in movements if each.position == position)
    return Posted(
        array("q", [time for time, _ in amounts]), array("q", accumulate(cents for _, cents in amounts))
    )


def _written(household: Household, number: int) -> Sequence[Movement]:
    first, after = first_day(number), first_day(number + 1)
    month = _Month(
        household=household,
        number=number,
        first=first,
        days=after - first,
        chance=seeded(household.key, "month", number),
        daily=[seeded(household.key, day) for day in range(first, after)],
    )
    _receive_pay(month)
    _pay_bills(month)
    _withdraw_and_send(month)
    for position in range(1, len(household.accounts)):
        _run_account(month, position)
    if household.persona.pays_fees:
        month.write(0, month.on(24, _NIGHT), -1200, merchants.MAINTENANCE_FEE)
    fee = 3500 if household.persona.is_overdrawn else 0
    # Last, because the purchases are what remains until the next opening balance.
    _buy(month, 0, -month.missing_cents(0) - fee)
    if fee:
        _charge_overdraft(month, fee)
    for position, account in enumerate(household.accounts):
        if account.extra:
            _add_extra_movements(month, position, account)
        if account.fixed_balance is not None:
            _hold_balance(month, position)
    return month.movements


def _receive_pay(month: _Month) -> None:
    household, every = month.household, month.household.persona.every
    paydays = (
        [
            each
            for each in range(month.first, month.first + month.days)
            if (each - household.payday) % every == 0
        ]
        if every
        else [month.on(3, 0) // DAY, month.on(12, 0) // DAY]
    )
    for count, day in enumerate(paydays):
        more = household.persona.varies * month.daily[day - month.first].random()
        payer = household.payers[
            ((day - household.payday) // every if every else count) % len(household.payers)
        ]
        month.write(0, day * DAY + _MORNING, round(household.pay * (1 + more)), payer)


def _pay_bills(month: _Month) -> None:
    household = month.household
    card = next((n for n, each in enumerate(household.accounts) if each.kind.type == "CREDIT_CARD"), 0)
    for bill in household.persona.bills:
        position = card if bill.is_on_card else 0
        month.write(position, month.on(bill.day, _MORNING), -_bill_cents(month, bill), bill.entry)


def _bill_cents(month: _Month, bill: Biller) -> int:
    usual = min(round(bill.share * month.household.monthly), bill.cap)
    if bill.entry.category != "Utilities":
        return usual
    return round(usual * _SEASONS[bill.season][month.number % 12] * (0.94 + 0.12 * month.chance.random()))


def _withdraw_and_send(month: _Month) -> None:
    """Cash withdrawals, a cheque, and transfers between friends."""
    draw, monthly = month.chance.random, month.household.monthly
    for _ in range(2):
        at = month.on(2 + int(draw() * 22), _AFTERNOON) + int(draw() * 300)
        month.write(0, at, -max(2000, monthly // 50 // 2000 * 2000), merchants.ATM)
        if draw() < 0.3:
            month.write(0, at, -300, merchants.ATM_FEE)
    at = month.on(2 + int(draw() * 22), _MORNING)
    cheque = min(round(monthly * (0.01 + 0.02 * draw())), 48_000)
    month.write(0, at, -cheque, merchants.CHECK, _Details(check=str(1001 + month.number % 8000)))
    for entry in (merchants.sent_to, merchants.received_from):
        friend = merchants.FRIENDS[int(draw() * len(merchants.FRIENDS))]
        at = month.on(2 + int(draw() * 22), _AFTERNOON) + int(draw() * 300)
        cents = 500 + int(monthly * 0.015 * draw())
        month.write(0, at, -cents if entry is merchants.sent_to else cents, entry(friend))


def _run_account(month: _Month, position: int) -> None:
    """All movements of an account other than checking."""
    account = month.household.accounts[position]
    if account.kind.term:
        _run_loan(month, position, account)
    elif account.kind.type == "INVESTMENT":
        _run_investment(month, position, account)
    else:
        interest = round(account.standing_balance(month.number) * account.kind.rate / 12)
        entry = merchants.INTEREST_PAID if interest > 0 else merchants.INTEREST_CHARGE
        month.write(position, month.on(1, _NIGHT), interest, entry)
        if account.kind.spends:
            _buy(month, position, account.budget(month.number) + month.sums[position] - interest)
        if account.fixed_balance is None:
            _transfer(month, position, month.missing_cents(position))


def _run_loan(month: _Month, position: int, account: Account) -> None:
    if account.age(month.number) == 0:
        month.write(position, month.on(1, _NIGHT), -account.principal, merchants.DISBURSEMENT)
        return
    _transfer(month, position, account.payment)
    month.write(position, month.on(1, _NIGHT), month.missing_cents(position), merchants.INTEREST_CHARGE)


def _run_investment(month: _Month, position: int, account: Account) -> None:
    if account.kind.by_employer:
        contribution = merchants.EMPLOYER_CONTRIBUTION
        month.write(position, month.on(15, _MORNING), account.contribution, contribution)
    else:
        _transfer(month, position, account.contribution)
    if month.number % 3 == 2:
        dividend = round(account.kind.base * account.monthly / 220)
        month.write(position, month.on(20, _MORNING), dividend, merchants.DIVIDEND)
    month.write(position, month.on(24, _AFTERNOON), month.missing_cents(position), merchants.BUY)


def _transfer(month: _Month, position: int, cents: int) -> None:
    """A transfer from checking to the account, or back if `cents` is negative: one movement in each."""
    account = month.household.accounts[position]
    sides = _sides(account.kind)
    at = transfer_time(account, month.number)
    memo = f"Ref {account.id[:6].upper()}{month.number}"
    leaving, arriving = (sides.paid, sides.received) if cents > 0 else (sides.drawn, sides.advanced)
    month.write(0, at, -cents, leaving, _Details(memo=memo))
    month.write(position, at, cents, arriving, _Details(memo=memo))


class _Sides(NamedTuple):
    paid: Entry
    received: Entry
    drawn: Entry
    advanced: Entry


@lru_cache
def _sides(kind: Kind) -> _Sides:
    """The texts of a transfer in checking and in the other account, in both directions."""
    category = {
        "CREDIT_CARD": "Credit Card Payment",
        "MORTGAGE": "Mortgage & Rent",
        "LOAN": {"AUTO": "Auto Payment", "STUDENT": "Student Loan"}.get(kind.subtype or "", "Loan Payment"),
        "LINE_OF_CREDIT": "Loan Payment",
        "CHECKING_LINE_OF_CREDIT": "Loan Payment",
    }.get(kind.type, "Transfer")
    received = "Credit Card Payment" if kind.type == "CREDIT_CARD" else "Transfer"
    verb = "Payment" if kind.is_debt else "Transfer"
    return _Sides(
        _transfer_entry(f"{verb} to {kind.label}", category),
        _transfer_entry(f"{verb} from Checking", received),
        _transfer_entry(f"Transfer from {kind.label}", "Transfer"),
        _transfer_entry("Transfer to Checking", "Transfer"),
    )


def _transfer_entry(text: str, category: str) -> Entry:
    return Entry(
        description=text,
        original_description=f"ONLINE {text.upper()}",
        category=category,
        extended_transaction_type="TRANSFER",
        is_recurring=True,
    )


class _Purchase(NamedTuple):
    at: int
    posted: int
    shop: Shop
    price: int
    returned: int
    """The time of the refund; 0 if there is none."""


def _buy(month: _Month, position: int, budget: int) -> None:
    """Purchases, refunds and foreign fees that add up to the budget to the cent."""
    if budget <= 0:
        month.write(position, month.on(1, _MORNING), -budget, merchants.received_from(merchants.FRIENDS[0]))
        return
    purchases = list(_purchases(month, budget))
    total = sum(each.price for each in purchases if not each.returned)
    costs = [each.price * budget // total for each in purchases]
    fees = [
        cost * 3 // 100 if each.shop.entry.is_international else 0
        for each, cost in zip(purchases, costs, strict=True)
    ]
    spent = sum(cost for each, cost in zip(purchases, costs, strict=True) if not each.returned) + sum(fees)
    # The rounding difference is added to the largest purchase.
    largest = max((n for n, each in enumerate(purchases) if not each.returned), key=lambda n: costs[n])
    costs[largest] += budget - spent
    for each, cost, fee in zip(purchases, costs, fees, strict=True):
        details = _Details(each.posted, -_authorized_cents(each.shop, cost))
        month.write(position, each.at, -cost, each.shop.entry, details)
        month.write(position, each.posted, -fee, merchants.FOREIGN_FEE)
        if each.returned:
            month.write(position, each.returned, cost, each.shop.refund)


def _purchases(month: _Month, budget: int) -> Iterator[_Purchase]:
    """Purchases at random prices, which the caller scales to the budget. At least one is not refunded."""
    market = month.household.persona.market
    shops, usual = market.shops, 0.8 * budget / month.days / market.mean_price
    expected = min(usual, _MOST_PURCHASES_A_DAY)
    for offset, rng in enumerate(month.daily):
        draw, day = rng.random, month.first + offset
        weekday = (day - 1) % 7
        chosen = [shops[int(draw() * len(shops))] for _ in range(int(expected + draw()))]
        if weekday == 5:
            chosen.append(merchants.GROCER)
        for shop in chosen:
            lags = _LAGS[weekday]
            posted = (day + lags[int(draw() * len(lags))]) * DAY + _MORNING
            returned = day + 4 + int(draw() * 5)
            is_returned = (
                shop is not merchants.GROCER and draw() < 0.03 and returned < month.first + month.days
            )
            yield _Purchase(
                at=day * DAY + 840 + int(draw() * 590),
                posted=posted,
                shop=shop,
                price=shop.low + int(draw() * (shop.high - shop.low)),
                returned=returned * DAY + _MORNING if is_returned else 0,
            )


def _authorized_cents(shop: Shop, cost: int) -> int:
    """The authorized amount: without the tip, or 1.00 at a fuel pump."""
    if shop.is_pump:
        return 100
    return cost * 100 // 118 if shop.is_tipped else cost


def _charge_overdraft(month: _Month, fee: int) -> None:
    """A fee on the morning after the lowest balance of checking."""
    running, lowest, worst = 0, 0, month.first
    for each in sorted(
        (each for each in month.movements if each.position == 0), key=lambda each: each.posted
    ):
        running += each.cents
        if running < lowest and each.posted // DAY < month.first + month.days - 1:
            lowest, worst = running, each.posted // DAY
    month.write(0, (worst + 1) * DAY + _NIGHT, -fee, merchants.OVERDRAFT_FEE)


def _add_extra_movements(month: _Month, position: int, account: Account) -> None:
    """Pairs of a small purchase and its refund: `account.extra` movements in any 730 days."""
    pairs = account.extra // 2
    for offset, day in enumerate(range(month.first, month.first + month.days)):
        draw = month.daily[offset].random
        for _ in range((day + 1) * pairs // 730 - day * pairs // 730):
            at, cents = day * DAY + _MORNING + int(draw() * 700), 100 + int(draw() * 200)
            month.write(position, at, -cents, merchants.VENDING.entry)
            month.write(position, at, cents, merchants.VENDING.refund)


def _hold_balance(month: _Month, position: int) -> None:
    """Offsets every movement immediately, so that the balance never changes."""
    posted: Counter[int] = Counter()
    for each in month.movements:
        if each.position == position:
            posted[each.posted] += each.cents
    for at, cents in sorted(posted.items()):
        month.write(position, at, -cents, merchants.SWEEP_OUT if cents > 0 else merchants.SWEEP_IN)
