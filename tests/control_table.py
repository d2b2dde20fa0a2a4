"""The table of controls in docs/reference/sandbox-bank.md. `make controls` writes it again."""

import re

from coatcheck.connectors.sandbox.controls import CONTROLS, Control
from tests.guides import ROOT

DOCUMENT = ROOT / "docs" / "reference" / "sandbox-bank.md"
HEAD = "| control | the bank | a client sees | a processor sees |\n|---|---|---|---|\n"
TABLE = re.compile(re.escape(HEAD) + r"(?:\|.*\n)*")


def generated() -> str:
    return HEAD + "".join(
        f"| {_name(each)} | {each.bank} | {each.client} | {each.processor} |\n" for each in CONTROLS.values()
    )


def written() -> str:
    """The table of the document."""
    (found,) = TABLE.findall(DOCUMENT.read_text())
    return str(found)


def _name(control: Control) -> str:
    argument = control.argument
    text = f"{control.name}={argument.placeholder}" if argument else control.name
    default = f" (`{argument.default}`)" if argument and argument.default else ""
    former = f", also `{control.former_name}`" if control.former_name else ""
    return f"`{text}`{default}{former}"


if __name__ == "__main__":
    DOCUMENT.write_text(DOCUMENT.read_text().replace(written(), generated()))
