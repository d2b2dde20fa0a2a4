"""Statement files that attack the reader or are damaged, each with the line or the element that the error names."""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

from tests.statement_samples import BAI2, CAMT, CSV, MT940, OFX


class Hostile(NamedTuple):
    data: bytes
    line: int | None
    element: str | None = None


BOMB = (
    b'<?xml version="1.0"?>\n<!DOCTYPE d [<!ENTITY a "ha">'
    + b"".join(
        b'<!ENTITY a%d "%s">' % (n, b"&a%s;" % (b"" if n == 1 else b"%d" % (n - 1)) * 10)
        for n in range(1, 10)
    )
    + b"]>\n<Document>&a9;</Document>"
)
XXE = (
    b'<?xml version="1.0"?>\n<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<Document>&x;</Document>'
)
PARAMETER_ENTITY = (
    b'<?xml version="1.0"?>\n<!DOCTYPE d [<!ENTITY % x SYSTEM "http://127.0.0.1/x"> %x;]>\n<Document/>'
)
STATEMENT = "Document/BkToCstmrStmt/Stmt"
ENTRY = f"{STATEMENT}/Ntry"
ACCOUNT = "OFX/BANKMSGSRSV1/STMTTRNRS/STMTRS/BANKACCTFROM"
TRANSACTION = "OFX/BANKMSGSRSV1/STMTTRNRS/STMTRS/BANKTRANLIST/STMTTRN"
MANY_ROWS = b"Date,Description,Amount\n" + b"2026-10-25,x,1\n" * 100_001


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


HOSTILE: Mapping[str, Hostile] = {
    "empty": Hostile(b"", 1),
    "only spaces": Hostile(b" \n \n", 1),
    "a PDF": Hostile(b"%PDF-1.7\n%\xe2\xe3", 1),
    "a spreadsheet": Hostile(b"PK\x03\x04" + b"\x00" * 60, 1),
    "a compressed file": Hostile(zlib.compress(b"0" * 10_000, wbits=31), 1),
    "a picture": Hostile(b"\x89PNG\r\n\x1a\n", 1),
    "a NUL": Hostile(replaced(OFX, b"PAYROLL", b"PAY\x00ROLL"), 20),
    "an escape sequence": Hostile(replaced(CSV, b"CORNER", b"\x1b[2JCORNER"), 5),
    "UTF-16 without a mark": Hostile(CSV.decode().encode("utf-16-le"), 1),
    "half of a UTF-16 character": Hostile(b"\xff\xfe" + "Date,Amount\n2026".encode("utf-16-le") + b"\x00", 2),
    "prose": Hostile(b"Dear customer,\nyour statement is ready.\n", 1, "columns"),
    "QIF": Hostile(b"!Type:Bank\nD10/26/2026\nT-1,500.00\nPCORNER, CO\n^\n", 1),
    "one column": Hostile(b"Amount\n1\n2\n", 1),
    "XML bomb": Hostile(BOMB, 2, "DOCTYPE"),
    "external entity": Hostile(XXE, 2, "DOCTYPE"),
    "parameter entity": Hostile(PARAMETER_ENTITY, 2, "DOCTYPE"),
    "OFX with entities": Hostile(replaced(OFX, b"<OFX>", b'<!DOCTYPE o [<!ENTITY a "b">]>\n<OFX>'), 11, "DOCTYPE"),
    "XML too deep": Hostile(b"<?xml version='1.0'?>" + b"<a>" * 10_000, 1, "a"),
    "OFX too deep": Hostile(b"<OFX>" + b"<A>" * 10_000, 1, "A"),
    "XML with an undefined entity": Hostile(replaced(CAMT, b"Refund", b"&nope;"), 19),
    "XML cut off": Hostile(CAMT[:900], 15),
    "XML says UTF-8 and is not": Hostile(replaced(CAMT, b"Erika", b"J\xf6rg"), 7),
    "XML in an unknown character set": Hostile(replaced(CAMT, b"UTF-8", b"EBCDIC-9"), 1),
    "CAMT.054": Hostile(CAMT.replace(b"BkToCstmrStmt", b"BkToCstmrDbtCdtNtfctn"), 2, "Document"),
    "CAMT without an account": Hostile(CAMT.replace(b"Acct>", b"Accnt>"), 5, f"{STATEMENT}/Acct"),
    "CAMT with a broken amount": Hostile(replaced(CAMT, b">50.00<", b">5O.00<"), 13, f"{ENTRY}/Amt"),
    "CAMT with a comma in an amount": Hostile(replaced(CAMT, b">50.00<", b">1,500<"), 13, f"{ENTRY}/Amt"),
    "CAMT with an apostrophe in an amount": Hostile(replaced(CAMT, b">50.00<", b">1'500.00<"), 13, f"{ENTRY}/Amt"),
    "CAMT with a broken direction": Hostile(replaced(CAMT, b"DBIT", b"BOTH"), 13, f"{ENTRY}/CdtDbtInd"),
    "CAMT with a 31st of September": Hostile(replaced(CAMT, b"2026-10-05", b"2026-09-31"), 14, f"{ENTRY}/BookgDt"),
    "CAMT with an amount of a thousand digits": Hostile(
        replaced(CAMT, b">50.00<", b">" + b"9" * 1000 + b"<"), 13, f"{ENTRY}/Amt"
    ),
    "OFX cut off": Hostile(OFX[:-40], 24, "OFX/BANKMSGSRSV1/STMTTRNRS/STMTRS"),
    "OFX without a statement": Hostile(OFX.replace(b"STMTRS>", b"STMTXX>"), 11, "OFX"),
    "OFX without an account": Hostile(replaced(OFX, b"<ACCTID>1234567890", b""), 16, f"{ACCOUNT}/ACCTID"),
    "OFX with a broken amount": Hostile(replaced(OFX, b"1500.00", b"NaN"), 20, f"{TRANSACTION}/TRNAMT"),
    "OFX with an amount in exponents": Hostile(replaced(OFX, b"1500.00", b"1e999999999"), 20, f"{TRANSACTION}/TRNAMT"),
    "OFX with a month 13": Hostile(replaced(OFX, b"20261015", b"20261315"), 20, f"{TRANSACTION}/DTPOSTED"),
    "OFX with a long character reference": Hostile(replaced(OFX, b"PAYROLL", b"&#" + b"9" * 5000 + b";"), 20, "NAME"),
    "OFX that closes what is not open": Hostile(replaced(OFX, b"</STMTRS>", b"</STMTXX>"), 25, "STMTXX"),
    "MT940 cut off": Hostile(MT940[: MT940.index(b":62F:")], 2, ":62F:"),
    "MT940 without an account": Hostile(replaced(MT940, b":25:37040044/0532013000\n", b""), 2, ":25:"),
    "MT940 with a broken line": Hostile(replaced(MT940, b"DR50,00", b"XX50,00"), 6, ":61:"),
    "MT940 with a mark between thousands": Hostile(replaced(MT940, b"DR50,00", b"DR1.500,00"), 6, ":61:"),
    "MT940 with a point before the decimals": Hostile(replaced(MT940, b"DR50,00", b"DR50.00"), 6, ":61:"),
    "MT940 with an amount of 17 digits": Hostile(replaced(MT940, b"CR12,50", b"CR12345678901234567,50"), 8, ":61:"),
    "MT940 with two commas": Hostile(replaced(MT940, b"CR12,50", b"CR1,200,50"), 8, ":61:"),
    "MT940 with a space in a balance": Hostile(replaced(MT940, b"EUR62,50", b"EUR1 062,50"), 10, ":62F:"),
    "MT940 with an apostrophe of typography": Hostile(
        replaced(MT940, b"EUR62,50", "EUR1\N{RIGHT SINGLE QUOTATION MARK}062,50".encode()), 10, ":62F:"
    ),
    "MT940 with a no-break space": Hostile(replaced(MT940, b"DR50,00", "DR1\u00a0500,00".encode()), 6, ":61:"),
    "MT940 with an underline": Hostile(replaced(MT940, b"DR50,00", b"DR1_500,00"), 6, ":61:"),
    "MT940 with letters in a balance": Hostile(replaced(MT940, b"EUR100,00", b"EUR1O0,00"), 5, ":60F:"),
    "MT940 with a space for the currency": Hostile(replaced(MT940, b"EUR62,50", b" 1062,50"), 10, ":62F:"),
    "MT940 with a month 99": Hostile(replaced(MT940, b":61:261005", b":61:269905"), 2),
    "BAI2 cut off": Hostile(BAI2[:120], 3, "03"),
    "BAI2 with another total": Hostile(replaced(BAI2, b"49,32000", b"49,32001"), 8, "49"),
    "BAI2 with a record too few": Hostile(replaced(BAI2, b"32000,6/", b"32000,7/"), 8, "49"),
    "BAI2 with an unknown record": Hostile(replaced(BAI2, b"16,475", b"17,475"), 6, "17"),
    "BAI2 with a number of a thousand digits": Hostile(replaced(BAI2, b"475,500", b"475," + b"9" * 1000), 6, "16"),
    "BAI2 with two signs": Hostile(replaced(BAI2, b"475,500", b"475,+-500"), 6, "16"),
    "BAI2 with fewer than no distributions": Hostile(replaced(BAI2, b"16,475,500,,", b"16,475,500,D,-99,"), 6, "16"),
    "BAI2 whose summary leads back": Hostile(
        replaced(BAI2, b"010,10000,,,015,15000,,,/", b"010,1,,D,-3,,D,-4,/"), 3, "03"
    ),
    "BAI2 with a month 13": Hostile(replaced(BAI2, b"261030", b"261330"), 2, "02"),
    "CSV with a quotation mark left open": Hostile(replaced(CSV, b'CORNER, CO"', b"CORNER, CO"), 6),
    "CSV with a cell of a megabyte": Hostile(replaced(CSV, b"CORNER", b"x" * 1_000_000), 5),
    "CSV with a broken amount": Hostile(replaced(CSV, b"-42.17", b"=1+1"), 5, "amount"),
    "CSV with two formats of dates": Hostile(replaced(CSV, b"10/26/2026", b"26.10.2026"), 6, "date"),
    "CSV with an amount of many spaces": Hostile(
        replaced(CSV, b"-42.17", b"4" + b" " * 50_000 + b"2"), 5, "amount"
    ),
    "CSV with a row that is cut off": Hostile(replaced(CSV, b",-42.17,957.83", b""), 5, "amount"),
    "CSV with too many transactions": Hostile(MANY_ROWS, 1),
}  # fmt: skip

SLOW: Mapping[str, bytes] = {
    "XML bomb": BOMB,
    "CAMT with a long amount": replaced(CAMT, b">50.00<", b">" + b"9" * 200_000 + b"x<"),
    "OFX with sections that do not end": replaced(OFX, b"PAYROLL", b"<![CDATA[" * 50_000),
    "CSV with an amount of many spaces": HOSTILE["CSV with an amount of many spaces"].data,
    "MT940 with thousands of statements": b"".join(
        b":20:S\n:25:1/2\n:60F:C261001EUR%d,\n:62F:C261031EUR%d,\n-\n" % (n, n + 1) for n in range(4_000)
    ),
    "BAI2 with a long summary": replaced(BAI2, b"015,15000,,,/", b"015,15000,,," + b"010,1,,," * 50_000 + b"/"),
}  # fmt: skip
"""Files of less than a megabyte that could take hours or much memory."""
