"""Statements as PDF. Only this module imports reportlab, which takes 9 MB and a third of a second to load."""

from io import BytesIO

from reportlab.lib.pagesizes import LETTER
from reportlab.pdfgen.canvas import Canvas

from coatcheck.connectors.sandbox.statements import Statement

_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 558, 738, 60
"""Margins in points, from the left and the bottom edge."""
_LEADING = 14


def render(statement: Statement) -> bytes:
    """The PDF. It has the same bytes for the same statement."""
    file = BytesIO()
    # Without the date and the random id of the file: `content_hash` would take each reading for a changed statement.
    canvas = Canvas(file, pagesize=LETTER, invariant=1)
    canvas.setTitle(f"{statement.account_name} {statement.end:%B %Y}")
    canvas.setAuthor(statement.bank)
    height = _head(canvas, statement)
    for line in statement.lines:
        if height < _BOTTOM:
            canvas.showPage()
            height = _columns(canvas, _TOP)
        _row(
            canvas,
            height,
            f"{line.day:%m/%d/%Y}",
            line.text[:60],
            f"{line.amount:,.2f}",
            f"{line.balance:,.2f}",
        )
        height -= _LEADING
    canvas.save()
    return file.getvalue()


def _head(canvas: Canvas, statement: Statement) -> float:
    """Draws everything above the list; returns the height of the first line."""
    canvas.setFont("Helvetica-Bold", 18)
    canvas.drawString(_LEFT, _TOP, statement.bank)
    canvas.setFont("Helvetica", 10)
    canvas.drawRightString(_RIGHT, _TOP, f"{statement.start:%B %d, %Y} to {statement.end:%B %d, %Y}")
    height = _TOP - 2 * _LEADING
    facts = (
        *statement.owner_lines,
        "",
        f"{statement.account_name}, account ending in {statement.mask}",
        f"Opening balance: {statement.opening:,.2f} {statement.currency_code}",
        f"Closing balance: {statement.closing:,.2f} {statement.currency_code}",
        "",
        "From a sandbox: nobody's money.",
    )
    for fact in facts:
        canvas.drawString(_LEFT, height, fact)
        height -= _LEADING
    return _columns(canvas, height - _LEADING)


def _columns(canvas: Canvas, height: float) -> float:
    canvas.setFont("Helvetica-Bold", 10)
    _row(canvas, height, "Date", "Description", "Amount", "Balance")
    canvas.line(_LEFT, height - 4, _RIGHT, height - 4)
    canvas.setFont("Helvetica", 10)
    return height - _LEADING - 4


def _row(canvas: Canvas, height: float, day: str, text: str, amount: str, balance: str) -> None:
    canvas.drawString(_LEFT, height, day)
    canvas.drawString(_LEFT + 70, height, text)
    canvas.drawRightString(_RIGHT - 90, height, amount)
    canvas.drawRightString(_RIGHT, height, balance)
