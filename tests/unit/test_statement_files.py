"""Statement files: each format, the character sets and the ids of transactions."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.connectors.statement_files import values
from coatcheck.connectors.statement_files.csv_mapping import CsvMapping, MappedAccount
from coatcheck.connectors.statement_files.identity import with_ids
from coatcheck.connectors.statement_files.reading import read_statement_file
from coatcheck.connectors.statement_files.statement import (
    MAX_TRANSACTIONS,
    FileAccount,
    FileBalance,
    FileFormat,
    FileTransaction,
)
from coatcheck.errors import UnreadableFile
from tests.statement_samples import BAI2, BY_NAME, CAMT, CSV, MT940, OFX


def read(data: bytes, mapping: CsvMapping | None = None) -> FileAccount:
    """The only account of the file."""
    (account,) = read_statement_file(data, mapping).statement.accounts
    return account


def amounts(account: FileAccount) -> list[str]:
    return [str(each.amount) for each in account.transactions]


@pytest.mark.parametrize("name", BY_NAME)
def test_the_format_is_found_in_the_content(name: str) -> None:
    assert read_statement_file(BY_NAME[name]).statement.format is FileFormat(name.upper())


def test_ofx_gives_numbers_balances_and_transactions_with_the_ids_of_the_bank() -> None:
    account = read(OFX)
    assert (account.number, account.routing_number, account.bank, account.type) == (
        "1234567890",
        "011000015",
        "First Example Bank",
        "CHECKING",
    )
    assert account.closing == FileBalance(
        Decimal("2357.83"),
        date(2026, 10, 31),
    )
    assert amounts(account) == ["-42.17", "1500.00", "-100.00"]
    first, _, check = account.transactions
    assert (first.bank_id, first.description, first.memo, first.date) == (
        "A1",
        "CORNER & CO",
        "Card 9",
        date(2026, 10, 3),
    )
    assert first.posted_at == datetime(2026, 10, 3, 17, tzinfo=UTC)
    assert check.check_number == "1042"


def test_ofx_2_with_closing_tags_gives_the_same_as_ofx_1() -> None:
    with_closing_tags = b"<?xml version='1.0'?>" + OFX[OFX.index(b"<OFX>") :].replace(
        b"<FITID>A1", b"<FITID>A1</FITID>"
    )
    assert read(with_closing_tags) == read(OFX)


def test_an_ofx_element_without_a_value_hides_none_of_those_that_follow() -> None:
    account = read(OFX.replace(b"<NAME>PAYROLL", b"<MEMO><NAME>PAYROLL"))
    assert [each.description for each in account.transactions] == ["CORNER & CO", "PAYROLL", "CHECK 1042"]


def test_camt_gives_the_owner_and_leaves_pending_entries_out_of_the_balances() -> None:
    account = read(CAMT)
    assert (account.iban, account.owner_name, account.bank) == (
        "DE89370400440532013000",
        "Erika Mustermann",
        "COBADEFFXXX",
    )
    assert [each.description for each in account.transactions[:2]] == [
        "Stadtwerke Abschlag Oktober",
        "Refund",
    ]
    assert [each.is_pending for each in account.transactions] == [False, False, True]
    assert account.difference == 0


def test_the_day_of_a_transaction_is_that_of_the_bank_whatever_its_offset() -> None:
    assert read(CAMT).transactions[1].date == date(2026, 10, 20)


def test_mt940_gives_the_structured_purpose_and_the_balances() -> None:
    account = read(MT940)
    assert (account.number, account.bank, account.currency_code) == ("0532013000", "37040044", "EUR")
    assert amounts(account) == ["-50.00", "12.50"]
    assert account.transactions[0].description == "Stadtwerke Abschlag Oktober"
    assert account.difference == 0


def test_text_that_names_a_file_of_the_machine_does_not_read_it() -> None:
    with pytest.raises(UnreadableFile):
        read_statement_file(b"/etc/hostname")


def test_bai2_gives_the_direction_of_each_code_and_passes_codes_of_the_bank_through() -> None:
    account = read(BAI2)
    assert amounts(account) == ["60.00", "-5.00", "-5.00"]
    assert [each.kind for each in account.transactions] == ["142", "475", "960"]
    assert account.transactions[0].description == "SOME PAYMENT ACH OFFSET, 2"
    assert account.difference == 0


def test_bai2_amounts_of_a_currency_without_decimals_are_whole() -> None:
    assert amounts(read(BAI2.replace(b"USD", b"JPY"))) == ["6000", "-500", "-500"]


def test_csv_columns_and_formats_are_guessed_and_returned() -> None:
    found = read_statement_file(CSV)
    assert found.mapping is not None
    assert (found.mapping.date_format, found.mapping.decimal_mark) == ("%m/%d/%Y", ".")
    assert found.mapping.columns == {
        "date": "Date",
        "amount": "Amount",
        "description": "Description",
        "balance": "Balance",
    }
    (account,) = found.statement.accounts
    assert amounts(account) == ["-42.17", "1500.00"]
    assert account.closing == FileBalance(Decimal("2457.83"), date(2026, 10, 26))


def test_a_csv_file_without_a_header_is_read_by_the_numbers_of_its_columns() -> None:
    mapping = CsvMapping(
        {"date": "1", "debit": "3", "credit": "4", "description": "2"},
        delimiter=";",
        decimal_mark=",",
        has_header=False,
        account=MappedAccount(name="Giro", currency_code="EUR"),
    )
    account = read(b"31.10.2026;Miete;1.200,50;\n01.11.2026;Lohn;;3.000,00\n", mapping)
    assert (amounts(account), account.name, account.currency_code) == (["-1200.50", "3000.00"], "Giro", "EUR")


@pytest.mark.parametrize(
    ("out", "into"), [("Debit", "Credit"), ("DR", "CR"), ("Af", "Bij"), ("DBIT", "CRDT")]
)
def test_amounts_without_a_sign_have_the_direction_that_another_column_says(out: str, into: str) -> None:
    rows = f"2026-10-25,RENT,1200.50,{out}\n2026-10-26,PAY,3000.00,{into}\n"
    found = read_statement_file(f"Date,Description,Amount,Transaction Type\n{rows}".encode())
    assert amounts(found.statement.accounts[0]) == ["-1200.50", "3000.00"]
    assert found.mapping is not None
    assert found.mapping.columns["direction"] == "Transaction Type"


@pytest.mark.parametrize(
    "rows",
    [
        b"2026-10-25,RENT,-1200.50,CARD\n2026-10-26,REFUND,10.00,CARD\n",
        b"2026-10-25,RENT,1200.50,CARD\n2026-10-26,PAY,10.00,TRANSFER\n",
        b"2026-10-25,RENT,-1200.50,DEBIT\n2026-10-26,FEE,-10.00,FEE\n2026-10-26,PAY,5.00,\n",
    ],
)
def test_a_column_that_says_no_directions_leaves_the_signs_of_the_amounts(rows: bytes) -> None:
    found = read_statement_file(b"Date,Description,Amount,Type\n" + rows)
    signs = [each.amount < 0 for each in found.statement.accounts[0].transactions]
    assert signs == [b",-" in row for row in rows.splitlines()]
    assert found.mapping is not None
    assert "direction" not in found.mapping.columns


@pytest.mark.parametrize("amount", ["(1200.50)", "-1200.50", "\N{MINUS SIGN}1200.50", "1200.50-"])
def test_a_sign_that_agrees_with_the_direction_changes_nothing(amount: str) -> None:
    rows = f"2026-10-25,RENT,{amount},Debit\n2026-10-26,PAY,3000.00,Credit\n2026-10-27,NOTE,0.00,Debit\n"
    found = read_statement_file(f"Date,Description,Amount,Type\n{rows}".encode())
    assert amounts(found.statement.accounts[0])[:2] == ["-1200.50", "3000.00"]
    assert found.mapping is not None
    assert found.mapping.columns["direction"] == "Type"


@pytest.mark.parametrize(
    ("third", "line"),
    [
        ("5.00,", 4),
        ("2.00,Fee", 4),
        ("(5.00),Debit", 2),
        ("-5.00,Credit", 2),
        ("-5.00,", 2),
    ],
)
def test_amounts_are_refused_if_their_signs_and_directions_do_not_fit_together(third: str, line: int) -> None:
    rows = f"2026-10-25,RENT,1200.50,Debit\n2026-10-26,PAY,3000.00,Credit\n2026-10-27,X,{third}\n"
    data = f"Date,Description,Amount,Type\n{rows}".encode()
    with pytest.raises(UnreadableFile) as refused:
        read_statement_file(data)
    assert (refused.value.line, refused.value.element) == (line, "direction")
    assert "Type" in refused.value.columns
    assert len(read(data, CsvMapping({"date": "Date", "amount": "Amount"})).transactions) == 3


def test_a_direction_of_a_mapping_that_is_neither_is_refused_with_its_line() -> None:
    columns = {"date": "Date", "amount": "Amount", "direction": "Type"}
    data = b"Date,Amount,Type\n2026-10-25,1.00,DEBIT\n2026-10-26,2.00,FEE\n"
    with pytest.raises(UnreadableFile) as refused:
        read_statement_file(data, CsvMapping(columns))
    assert (refused.value.line, refused.value.element) == (3, "direction")


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-25 23:30:00", "2026-10-25T23:30:00Z", "2026-10-25T23:30:00.123+02:00", "2026-10-25 23:30",
        "2026-10-25 23:30:00 UTC", "10/25/2026 11:30 PM", "10/25/2026, 11:30:15 pm", "25.10.2026 23:30",
    ],
)  # fmt: skip
def test_the_time_after_a_date_is_left_out(text: str) -> None:
    found = read_statement_file(f'Date,Description,Amount\n"{text}",x,1.00\n'.encode())
    assert found.statement.accounts[0].transactions[0].date == date(2026, 10, 25)
    assert found.mapping is not None
    assert "%H" not in (found.mapping.date_format or "")


def test_a_time_in_the_format_of_dates_is_read() -> None:
    columns = {"date": "Date", "amount": "Amount"}
    data = b"Date,Amount\n25.10.26 / 23:30,1.00\n"
    assert read(data, CsvMapping(columns, date_format="%d.%m.%y / %H:%M")).transactions[0].date == date(
        2026, 10, 25
    )


def test_dates_that_can_be_read_in_two_ways_are_reported() -> None:
    statement = read_statement_file(b"Date,Description,Amount\n03/04/2026,x,1.00\n").statement
    assert any("two ways" in each for each in statement.warnings)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1234.5", "1234.5"),
        ("-1.234,56", "-1234.56"),
        ("1,234.56", "1234.56"),
        ("+ 12,5", "12.5"),
        ("1 234,50", "1234.50"),
        ("1'234.50", "1234.50"),
        (".5", "0.5"),
        ("1.234.567", "1234567"),
        ("1'234,567.50", "1234567.50"),
        ("1,50,000.25", "150000.25"),
        ("\u22125", "-5"),
    ],
)
def test_an_amount_is_read_as_banks_write_it(text: str, amount: str) -> None:
    assert values.amount(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "abc", "1e5", "NaN", "--1", "1.2.3,4,5", "9" * 16, "٣", "1.234567890"])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it"):
        values.amount(text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["-1.500", "12.345.678"], ["-1500", "12345678"]),
        (["$1,500", "(2,000)", "7,000,000"], ["1500", "-2000", "7000000"]),
        (["1,500", "1,50,000"], ["1500", "150000"]),
        (["1,500", "2,000.50"], ["1500", "2000.50"]),
        (["1.500", "2,5"], ["1500", "2.5"]),
        (["200", "7"], ["200", "7"]),
        (["0.0015", "2"], ["0.0015", "2"]),
        (["1.500", "0.250", "2"], ["1.500", "0.250", "2"]),
        (["1.500", "-.250"], ["1.500", "-0.250"]),
        (["1.500", "1234.500", "0"], ["1.500", "1234.500", "0"]),
        (["1.500", "1,234.500"], ["1.500", "1234.500"]),
    ],
)
def test_a_mark_between_thousands_is_not_taken_for_that_of_decimals(
    given: list[str], expected: list[str]
) -> None:
    assert amounts(read(csv_of(given))) == expected


def test_the_balances_show_the_mark_of_the_decimals_too() -> None:
    table = b"Date,Description,Amount,Balance\n2026-10-25,x,1.500,9.957,83\n".replace(
        b"9.957,83", b'"9.957,83"'
    )
    assert amounts(read(table)) == ["1500"]


@pytest.mark.parametrize(
    "given",
    [
        ["1,500"],
        ["1.500", "2.250"],
        ["1.500", "0"],
        ["1,500", "200"],
        ["KWD 1.500", "KWD 2"],
        ["1'234.500", "2"],
    ],
)
def test_amounts_that_can_be_read_in_two_ways_are_refused_until_the_mark_is_given(given: list[str]) -> None:
    with pytest.raises(UnreadableFile, match="decimal_mark"):
        read(csv_of(given))
    columns = {"date": "Date", "amount": "Amount"}
    account = read(csv_of(given), CsvMapping(columns, decimal_mark="."))
    assert len(account.transactions) == len(given)


@pytest.mark.parametrize("given", [["1.50", "1,50"], ["1,500", "2.000,50", "1.50"]])
def test_amounts_that_contradict_each_other_are_refused(given: list[str]) -> None:
    with pytest.raises(UnreadableFile, match="decimal_mark"):
        read(csv_of(given))


def test_a_cell_without_a_digit_says_nothing_of_the_mark() -> None:
    table = b"Date,Description,Amount,Balance\n2026-10-25,x,1.500,-\n2026-10-26,x,2.500,3.000\n"
    with pytest.raises(UnreadableFile, match="decimal_mark"):
        read(table)


@pytest.mark.parametrize(
    ("mark", "text"), [(",", "1.5"), (",", "0.015"), (".", "1,5000"), (".", ",5"), (".", "12,34.50")]
)
def test_a_mark_that_cannot_separate_thousands_is_refused_with_its_line(mark: str, text: str) -> None:
    mapping = CsvMapping({"date": "Date", "amount": "Amount"}, decimal_mark=mark)
    with pytest.raises(UnreadableFile, match="groups of digits") as refused:
        read(csv_of(["7", text]), mapping)
    assert refused.value.line == 3


@pytest.mark.parametrize("bad", ["2026-13-45", "soon"])
def test_the_line_of_a_date_that_cannot_be_read_is_named(bad: str) -> None:
    rows = ["Date,Description,Amount", "2026-10-25,One,1.00", f"{bad},Two,2.00", "2026-10-27,Three,3.00"]
    with pytest.raises(UnreadableFile, match="date_format") as refused:
        read("\n".join(rows).encode())
    assert (refused.value.line, refused.value.element) == (3, "date")


def csv_of(given: Sequence[str]) -> bytes:
    rows = "".join(f'2026-10-{day},x,"{amount}"\n' for day, amount in enumerate(given, 10))
    return f"Date,Description,Amount\n{rows}".encode()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_the_character_set_is_found_in_the_content(encoding: str) -> None:
    text = "Date,Description,Amount\n2026-10-25,Café Zürich,-4.50\n"
    assert read(text.encode(encoding)).transactions[0].description == "Café Zürich"


def test_statements_of_one_account_are_one_account_with_the_newest_balance() -> None:
    second = MT940.replace(b":60F:C261001EUR100,00", b":60F:C261031EUR62,50").replace(
        b":62F:C261031EUR62,50", b":62F:C261130EUR25,00"
    )
    account = read(MT940 + second)
    assert len(account.transactions) == 4
    assert account.opening == FileBalance(Decimal(100), date(2026, 10, 1))
    assert account.closing == FileBalance(Decimal(25), date(2026, 11, 30))


def test_a_statement_that_a_file_has_twice_is_read_once() -> None:
    account = read(MT940 + MT940)
    assert len(account.transactions) == 2
    assert account.difference == 0


def test_a_field_whose_first_colon_stands_on_a_line_before_it_begins_a_statement_too() -> None:
    """Savings banks of Germany give such files: their lines are cut to a width."""
    second = MT940.replace(b"0532013000", b"0532013001").partition(b":20:")[2]
    first, last = read_statement_file(MT940.replace(b"\n-}", b"") + b":\n20:" + second).statement.accounts
    assert (first.number, last.number) == ("0532013000", "0532013001")
    assert amounts(first) == amounts(last) == ["-50.00", "12.50"]
    with pytest.raises(UnreadableFile, match="amount") as refused:
        read(MT940.replace(b"\n:61:", b"\n:\n61:").replace(b"DR50,00", b"DR5.000,00"))
    assert refused.value.line == 7


def test_a_year_of_mt940_from_80_on_is_of_the_last_century() -> None:
    account = read(re.sub(rb"(:6[0-2]F?:C?)26", rb"\g<1>95", MT940))
    assert [each.date for each in account.transactions] == [date(1995, 10, 5), date(1995, 10, 20)]
    assert (account.opening, account.closing) == (
        FileBalance(Decimal(100), date(1995, 10, 1)),
        FileBalance(Decimal("62.50"), date(1995, 10, 31)),
    )
    recent = read(re.sub(rb"(:6[0-2]F?:C?)26", rb"\g<1>79", MT940))
    assert [each.date.year for each in recent.transactions] == [2079, 2079]


def test_two_equal_statements_that_leave_the_balance_as_it_was_are_two() -> None:
    unchanged = MT940.replace(b"DR50,00", b"DR12,50").replace(b"EUR62,50", b"EUR100,00")
    assert len(read(unchanged + unchanged).transactions) == 4


def test_the_balance_of_several_pages_of_one_day_is_that_of_the_last() -> None:
    first = MT940.replace(b":62F:C261031EUR62,50", b":62M:C261031EUR62,50")
    second = MT940.replace(b":60F:C261001EUR100,00", b":60M:C261031EUR62,50").replace(
        b":62F:C261031EUR62,50", b":62F:C261031EUR25,00"
    )
    account = read(first + second)
    assert account.closing == FileBalance(Decimal(25), date(2026, 10, 31))
    assert account.difference == 0


def test_an_account_whose_number_is_spelled_in_two_ways_is_one_account() -> None:
    spelled = CAMT.replace(b"DE89370400440532013000", b"de89 3704 0044 0532 0130 00")
    statement = spelled[spelled.index(b"  <Stmt>") : spelled.index(b"</Stmt>") + 7]
    both = CAMT.replace(b"</Stmt>", b"</Stmt>\n" + statement)
    assert len(read(both).transactions) == 6


@pytest.mark.parametrize("balance", [b":60F:C261001EUR100,00", b":62F:C261031EUR62,50"])
def test_a_balance_of_mt940_without_a_currency_has_that_of_the_other(balance: bytes) -> None:
    statement = read_statement_file(MT940.replace(balance, balance.replace(b"EUR", b""))).statement
    (account,) = statement.accounts
    assert (account.opening, account.closing) == (read(MT940).opening, read(MT940).closing)
    assert account.currency_code == "EUR"
    assert not statement.warnings


def test_an_amount_of_mt940_with_many_zeros_before_it_is_read_whole() -> None:
    padded = MT940.replace(b"EUR62,50", b"EUR" + b"0" * 14 + b"62,50").replace(
        b"CR12,50", b"CR" + b"0" * 13 + b"12,50"
    )
    assert read(padded) == read(MT940)


def test_transactions_that_do_not_add_up_to_the_balances_are_reported() -> None:
    statement = read_statement_file(MT940.replace(b"R12,50", b"R12,51")).statement
    assert any("do not add up" in each for each in statement.warnings)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("-5:EST", "-05:00"),
        ("5.5:IST", "+05:30"),
        ("+5.50:IST", "+05:30"),
        ("5.30:IST", "+05:30"),
        ("-3.5", "-03:30"),
        ("5.75", "+05:45"),
        ("12.75", "+12:45"),
        ("5.45", "+05:45"),
        ("0", "+00:00"),
    ],
)
def test_the_offset_of_an_ofx_time_is_in_hours_with_a_fraction(offset: str, expected: str) -> None:
    data = OFX.replace(b"20261003120000.000[-5:EST]", f"20261003120000.000[{offset}]".encode())
    (first, *_) = read(data).transactions
    assert first.posted_at is not None
    assert first.posted_at.isoformat() == f"2026-10-03T12:00:00{expected}"


@pytest.mark.parametrize(
    ("header", "encoding", "text"),
    [
        (b"CHARSET:1251", "cp1251", "Магазин"),
        (b"CHARSET:1250", "cp1250", "Żółć"),
        (b"CHARSET:ISO-8859-1", "cp1252", "Café \N{EN DASH} 5 € \N{LEFT DOUBLE QUOTATION MARK}x"),
        (b"CHARSET:iso-8859-9", "cp1254", "Iğdir 5 €"),
        (b"CHARSET:ISO-8859-1", "cp852", "Ł"),
        (b"CHARSET:ISO-8859-7", "iso-8859-7", "Καφές"),
        (b"CHARSET:NONE\nX:ENCODING:SHIFT_JIS", "shift_jis", "三菱"),
        (b"CHARSET:1252", "utf-8", "Café"),
        (b"CHARSET:ISO-8859-99", "cp1252", "Café"),
        (b"CHARSET:NONE", "cp1252", "Café"),
    ],
)
def test_the_character_set_that_an_ofx_file_names_is_used_if_it_is_not_in_utf_8(
    header: bytes, encoding: str, text: str
) -> None:
    data = OFX.replace(b"CHARSET:1252", header).replace(b"PAYROLL", text.encode(encoding))
    assert text in [each.description for each in read(data).transactions]


@pytest.mark.parametrize(("encoding", "text"), [("cp1252", "5 € für Öl"), ("latin-1", "\x81 für Öl")])
def test_an_xml_document_that_names_iso_8859_1_can_have_the_characters_of_windows(
    encoding: str, text: str
) -> None:
    data = CAMT.replace(b"UTF-8", b"ISO-8859-1").replace(b"Refund", text.encode(encoding))
    assert text in [each.description for each in read(data).transactions]


def test_an_xml_document_with_a_mark_of_utf_8_is_in_utf_8_whatever_it_names() -> None:
    data = CAMT.replace(b"UTF-8", b"ISO-8859-1").replace(b"Refund", "5 €".encode())
    assert "5 €" in [each.description for each in read(b"\xef\xbb\xbf" + data).transactions]


def test_a_transaction_of_mt940_without_a_code_of_its_kind_is_read() -> None:
    for end in (b"", b" ", b"\nNTRFNONREF", b"NTR", b" NTRFNONREF"):
        data = MT940.replace(b"DR50,00NTRFNONREF//55555", b"DR50,00" + end)
        assert amounts(read(data)) == amounts(read(MT940))


def transaction(day: int, amount: int, text: str, bank_id: str | None) -> FileTransaction:
    return FileTransaction(date(2026, 10, day), Decimal(amount), text, "USD", bank_id)


TRANSACTIONS = st.lists(
    st.builds(transaction, st.integers(1, 5), st.integers(-2, 2), st.sampled_from(["a", "b"]), st.none()),
    max_size=20,
).map(lambda found: sorted(found, key=lambda each: each.date))


def ids(transactions: Sequence[FileTransaction]) -> Counter[str]:
    return Counter(id for id, _ in with_ids(transactions))


@given(TRANSACTIONS)
def test_two_transactions_of_a_file_never_get_the_same_id(transactions: Sequence[FileTransaction]) -> None:
    assert len(ids(transactions)) == len(transactions)


@given(TRANSACTIONS, st.integers(1, 5), st.integers(1, 5))
def test_ids_do_not_depend_on_the_days_of_the_file(
    transactions: Sequence[FileTransaction], first: int, last: int
) -> None:
    part = [each for each in transactions if first <= each.date.day <= last]
    assert ids(part) <= ids(transactions)


@pytest.mark.parametrize("zero", [b"0", b"0000"])
def test_a_zero_in_place_of_an_id_hides_no_transaction(zero: bytes) -> None:
    same = OFX.replace(b"-100.00<FITID>A3", b"-42.17<FITID>A3")
    for id in (b"A1", b"A2", b"A3"):
        same = same.replace(b"<FITID>" + id, b"<FITID>" + zero)
    assert len({id for id, _ in with_ids(read(same).transactions)}) == 3


def test_an_id_that_the_bank_uses_twice_does_not_hide_a_transaction() -> None:
    assert len(ids([transaction(1, 5, "a", "X"), transaction(2, 7, "a", "X")])) == 2


def test_a_transaction_that_the_bank_describes_anew_keeps_its_id() -> None:
    assert ids([transaction(1, 5, "a", "X")]) == ids([transaction(2, 5, "posted", "X")])


def test_a_csv_file_with_as_many_transactions_as_are_allowed_is_read() -> None:
    data = b"Date,Description,Amount\n" + b"2026-10-25,x,1\n" * MAX_TRANSACTIONS
    assert len(read(data).transactions) == MAX_TRANSACTIONS
