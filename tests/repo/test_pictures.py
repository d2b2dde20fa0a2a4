"""The pictures of the pages in the documents: `make pictures` was run after a page was added."""

from tests.browser.page_pictures import IMAGES, LISTING, pages

MAX_BYTES, MAX_BYTES_OF_ALL = 80_000, 2_500_000


def test_every_page_has_its_pictures_in_the_document_and_nothing_else_has() -> None:
    files = [file for page in pages() for file in page.files]
    assert len(set(files)) == len(files)
    assert set(IMAGES.glob("*.png")) == set(files)
    document = LISTING.read_text("utf-8")
    assert [file.name for file in files if f"/{file.name}" not in document] == []


def test_the_pictures_are_small() -> None:
    sizes = {file.name: file.stat().st_size for file in IMAGES.glob("*.png")}
    assert {name: size for name, size in sizes.items() if size > MAX_BYTES} == {}
    assert sum(sizes.values()) < MAX_BYTES_OF_ALL
