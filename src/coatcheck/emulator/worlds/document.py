"""Reads a world file, and writes one. Every refusal names the line and the key.

The file is untrusted: only plain values are constructed, and aliases are refused, because a small file with nested
aliases can stand for billions of values.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from coatcheck.connectors.sandbox.controls import InvalidControl, parse_controls
from coatcheck.emulator.worlds.schema import World, WorldClient, WorldMember, WorldUser, logins_of
from coatcheck.errors import InvalidRequest
from coatcheck.http.decoding import convert

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
_UNKNOWN = re.compile(r"unknown field `(\w+)`")
_STEP = re.compile(r"(\w+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class WorldFile:
    """A world, and where each of its keys is in the file."""

    world: World
    root: yaml.Node

    def refusal(self, path: str, problem: str) -> InvalidRequest:
        """The refusal of a value, by its path: `clients[0].users[1].id`."""
        return InvalidRequest(f"line {_line(self.root, path)}, {path}: {problem}")


def parse_world(content: bytes) -> WorldFile:
    """The world of a file.

    Raises:
        InvalidRequest: the file is not YAML, or not a world. The message names the line and the key.
    """
    if len(content) > MAX_BYTES:
        raise InvalidRequest(f"The file has more than {MAX_BYTES // 1024} KiB.")
    try:
        root = _PlainLoader(content.decode()).get_single_node()
        if root is None:
            raise InvalidRequest("line 1: the file is empty.")
        values = _values(root, 0)
    except UnicodeDecodeError:
        raise InvalidRequest("The file is not UTF-8.") from None
    except RecursionError:
        raise InvalidRequest("The file is nested too deeply.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InvalidRequest(
            f"line {mark.line + 1 if mark else 1}: {error.problem or error.context}."
        ) from None
    except yaml.YAMLError:
        raise InvalidRequest("The file has a character that YAML does not allow.") from None
    try:
        file = WorldFile(convert(values, World), root)
    except InvalidRequest as error:
        path, _, problem = error.problem.partition(":")
        if unknown := _UNKNOWN.search(problem):
            path = f"{path}.{unknown[1]}"
        raise InvalidRequest(f"line {_line(root, path)}, {error.problem}") from None
    for path, problem in _problems(file.world):
        raise file.refusal(path, problem)
    return file


def dump_world(world: World) -> str:
    """The file of a world: what `parse_world` reads."""
    text: str = yaml.safe_dump(
        msgspec.to_builtins(world), sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
    )
    return text


class _PlainLoader(yaml.SafeLoader):
    """Reads the nodes of a file without aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases are not allowed in a world",
                problem_mark=self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _values(node: yaml.Node, depth: int) -> Any:
    """The value of a node: text, numbers, times, lists and mappings.

    Raises:
        MarkedYAMLError: a tag stands for anything else, a key is not text or is repeated, or it is nested too deeply.
    """
    if depth > MAX_DEPTH:
        raise yaml.MarkedYAMLError(problem="it is nested too deeply", problem_mark=node.start_mark)
    match node:
        case yaml.MappingNode(value=pairs):
            found: dict[str, Any] = {}
            for key, value in pairs:
                name = key.value if isinstance(key, yaml.ScalarNode) else None
                if not isinstance(name, str) or name in found:
                    problem = "a key must be text" if name is None else f"the key {name[:50]!r} is repeated"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                found[name] = _values(value, depth + 1)
            return found
        case yaml.SequenceNode(value=items):
            return [_values(item, depth + 1) for item in items]
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except ValueError:  # a date such as 2026-02-30
        raise yaml.MarkedYAMLError(problem="it is no such value", problem_mark=node.start_mark) from None


def _line(root: yaml.Node, path: str) -> int:
    """The line of the key at a path, or of the last part of the path that there is; from 1."""
    node, mark = root, root.start_mark
    for name, position in _STEP.findall(path):
        found = _child(node, name, position)
        if found is None:
            break
        mark, node = found
    return int(mark.line) + 1


def _child(node: yaml.Node, name: str, position: str) -> tuple[yaml.Mark, yaml.Node] | None:
    """Where the key or the item is, and its value."""
    match node:
        case yaml.MappingNode(value=pairs) if name:
            return next(((key.start_mark, value) for key, value in pairs if key.value == name), None)
        case yaml.SequenceNode(value=items) if position and int(position) < len(items):
            return items[int(position)].start_mark, items[int(position)]
    return None


# --- what a schema cannot say ------------------------------------------------------------------------------


def _problems(world: World) -> Iterator[tuple[str, str]]:
    """The path and the description of each problem."""
    processors = [each.name for each in world.processors]
    yield from _repeated("processors", "name", processors)
    for number, client in enumerate(world.clients):
        path = f"clients[{number}]"
        for count, name in enumerate(client.processors):
            if name not in processors:
                yield f"{path}.processors[{count}]", f"there is no processor {name!r} in this world."
        yield from _repeated_words(f"{path}.processors", client.processors)
        yield from _problems_of_client(path, client)


def _problems_of_client(path: str, client: WorldClient) -> Iterator[tuple[str, str]]:
    yield from _repeated(f"{path}.users", "id", [user.id for user in client.users])
    for number, user in enumerate(client.users):
        yield from _problems_of_user(f"{path}.users[{number}]", user, number + 1)


def _problems_of_user(path: str, user: WorldUser, number: int) -> Iterator[tuple[str, str]]:
    yield from _repeated(f"{path}.members", "id", [member.id for member in user.members])
    logins = zip(user.members, logins_of(user, number), strict=True)
    signs = [f"{member.institution} {login.casefold()}" for member, login in logins]
    yield from _repeated(f"{path}.members", "login", signs, shown="the login and the institution are")
    for count, member in enumerate(user.members):
        yield from _problems_of_controls(f"{path}.members[{count}]", member)


def _problems_of_controls(path: str, member: WorldMember) -> Iterator[tuple[str, str]]:
    words = [("persona", f"persona={member.persona}")] if member.persona else []
    words += [(f"controls[{count}]", word) for count, word in enumerate(member.controls)]
    for count, (place, _) in enumerate(words):
        try:
            parse_controls(word for _, word in words[: count + 1])
        except InvalidControl as error:
            yield f"{path}.{place}", f"{error}."
            return


def _repeated(
    path: str, key: str, values: list[str] | list[str | None], *, shown: str = "it is"
) -> Iterator[tuple[str, str]]:
    for count, value in enumerate(values):
        if value is not None and value in values[:count]:
            yield f"{path}[{count}].{key}", f"{shown} already used above."


def _repeated_words(path: str, words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for count, word in enumerate(words):
        if word in words[:count]:
            yield f"{path}[{count}]", "it is already used above."
