"""World files: what can be read, and how a file that cannot is refused."""

import pytest

from coatcheck.emulator.worlds.document import dump_world, parse_world
from coatcheck.errors import InvalidRequest
from tests.worlds import WORLD

UNUSABLE = {
    "an unknown key": ("    email: ", "    e_mail: ", 12, "e_mail"),
    "an unknown control": ("- nsf", "- nfs", 17, "`nfs`"),
    "a wrong argument": ("slow=0.01s", "slow=soon", 18, "controls[1]"),
    "a control twice": ("- slow=0.01s", "- nsf", 18, "given twice"),
    "an unknown persona": ("persona: student", "persona: pirate", 20, "persona"),
    "an unknown processor": ("  - Payments Inc\n", "  - Payments Ltd\n", 9, "Payments Ltd"),
    "a processor twice": ("- name: Owners Inc", "- name: Payments Inc", 4, "processors[1].name"),
    "a login twice": ("institution: mxcu_credential", "login: alice", 19, "login"),
    "a wrong type": ("id: alice\n    email", "id: 7\n    email", 11, "id"),
    "an unknown account type": ("type: PROPERTY", "type: CASTLE", 27, "PROPERTY"),
    "a repeated key": ("    email: ", "    id: bob\n    email: ", 12, "id"),
    "no version": ("version: 1\n", "", 1, "version"),
    "another version": ("version: 1", "version: 2", 1, "version"),
    "an alias": ("metadata: without an id", "metadata: *nothing", 29, "aliases"),
    "a tag of Python": ("metadata: without an id", "metadata: !!python/name:os.system x", 29, "tag"),
    "a broken line": ("metadata: without an id", "metadata: [", 31, ""),
    "a wrong date": ("metadata: without an id", "metadata: 2026-02-30", 29, "value"),
}
"""What is replaced in the file, by what, and the line and the word that the refusal names."""


def test_what_is_written_is_read_again() -> None:
    world = parse_world(WORLD.encode()).world
    assert parse_world(dump_world(world).encode()).world == world
    assert dump_world(parse_world(dump_world(world).encode()).world) == dump_world(world)


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(name: str) -> None:
    old, new, line, word = UNUSABLE[name]
    assert old in WORLD
    with pytest.raises(InvalidRequest) as refused:
        parse_world(WORLD.replace(old, new, 1).encode())
    assert refused.value.problem.startswith(f"line {line}")
    assert word in refused.value.problem


@pytest.mark.parametrize(
    "content",
    [
        b"", b"# nothing", b"- a list", b"just text", b"\xff\xfe", b"[" * 5000, b"a: " * 50, b"\x00", b"{" * 1000,
        b"version: 1\nclients: null", b"a: &a [1]\nb: *a", b"? [1]\n: 2", b"version: 1\n--- \nversion: 1",
        b"version: 1\nclients:\n- name: ''", b"<<: {version: 1}", b"version: 1e400", b"version: .nan",
        b"version: 1\nclients: " + b"[" * 30 + b"]" * 30, b"%YAML 9.9\n---\nversion: 1", b"#" * 300_000,
    ],
)  # fmt: skip
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_world(content)


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    with pytest.raises(InvalidRequest, match="line 2: aliases"):
        parse_world("\n".join(lines).encode())
