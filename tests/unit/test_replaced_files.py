"""Files that are replaced whole."""

import os
from pathlib import Path

import pytest

from coatcheck.replaced_files import replaced


def test_a_file_has_all_of_its_new_content_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before")
    file.chmod(0o640)
    with replaced(file) as opened:
        opened.write("after")
        assert file.read_text() == "before"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("after", 0o640)
    assert [*tmp_path.iterdir()] == [file]


def test_a_file_of_which_a_part_was_written_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before")

    def break_off() -> None:
        with replaced(file) as opened:
            opened.write("a part")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert file.read_text() == "before"
    assert [*tmp_path.iterdir()] == [file]


def test_a_new_file_has_the_mode_that_every_new_file_has(tmp_path: Path) -> None:
    usual, new = tmp_path / "usual", tmp_path / "new"
    usual.touch()
    with replaced(new):
        pass
    assert new.stat().st_mode == usual.stat().st_mode


def test_of_a_link_the_file_is_replaced_that_it_names(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)
    with replaced(link) as opened:
        opened.write("after")
    assert link.is_symlink()
    assert file.read_text() == "after"


def test_what_is_no_file_gets_the_content_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with replaced(pipe) as opened:
        opened.write("after")
    assert os.read(reading, 100) == b"after"
    os.close(reading)
    assert pipe.is_fifo()
