"""A user whose bank is not listed drops a file of the bank."""

from playwright.async_api import expect

from tests.browser.scene import Scene

FILE = """
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  document.querySelector(".drop-zone").dispatchEvent(
    new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
"""
DAMAGED = "<OFX><BANKMSGSRSV1>"
CSV = "Date,Description,Amount\n03/04/2026,CORNER AND CO,-42.17\n05/04/2026,PAYROLL,1800.00\n"


async def test_a_user_who_finds_no_bank_drops_a_file_and_corrects_how_it_is_read(scene: Scene) -> None:
    widget = await scene.embed("sdkUrl")
    frame = widget.frame

    async def drop(name: str, text: str) -> None:
        await frame.evaluate(f"([name, text]) => {{ {FILE} }}", [name, text])

    await widget.agree()
    await widget.search("Nonesuch")
    await expect(frame.get_by_text("No results for “Nonesuch”")).to_be_visible()
    await widget.press("Add a bank file")
    await widget.sees("Add a bank file")
    await drop("damaged.ofx", DAMAGED)
    await expect(frame.get_by_text("We could not read this file. Nothing was imported.")).to_be_visible()
    await expect(frame.get_by_text("The problem is ")).to_be_visible()
    await drop("statement.csv", CSV)
    await widget.sees("Check your file")
    await expect(frame.get_by_text("The dates can be read in two ways.")).to_be_visible()
    await expect(frame.get_by_role("table")).to_contain_text("Mar 4, 2026")
    await frame.get_by_label("Dates are written").select_option(label="Day first")
    await frame.get_by_label("Account name (optional)").fill("Household")
    await widget.press("Update the preview")
    await expect(frame.get_by_role("table")).to_contain_text("Apr 3, 2026")
    await expect(frame.get_by_text("Household", exact=True)).to_be_visible()
    assert (await scene.api.get(f"/users/{scene.user}/members")).json()["members"] == []
    await widget.press("Import")
    await widget.sees("Your file is imported")
    (posted,) = await widget.posted("memberConnected")
    found = (await scene.api.get(f"/users/{scene.user}/transactions?from_date=2026-01-01")).json()[
        "transactions"
    ]
    assert {each["member_guid"] for each in found} == {posted["member_guid"]}
    assert sorted(each["amount"] for each in found) == [42.17, 1800]


async def test_a_user_says_how_amounts_are_written_that_can_be_read_in_two_ways(scene: Scene) -> None:
    widget = await scene.embed("sdkUrl")
    frame = widget.frame
    await widget.agree()
    await widget.search("Nonesuch")
    await widget.press("Add a bank file")
    await widget.sees("Add a bank file")
    rows = 'Date,Description,Amount\n2026-03-13,RENT,"-1,500"\n2026-03-14,PAYROLL,200\n'
    await frame.evaluate(f"([name, text]) => {{ {FILE} }}", ["statement.csv", rows])
    await expect(frame.get_by_text("The amounts can be read in two ways.")).to_be_visible()
    for label, chosen in (("Date", "Date"), ("Amount", "Amount"), ("Amounts are written", "1,234.56")):
        await frame.get_by_label(label, exact=True).select_option(label=chosen)
    await widget.press("Update the preview")
    await widget.sees("Check your file")
    await expect(frame.get_by_role("table")).to_contain_text("1,500.00")
