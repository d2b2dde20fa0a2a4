"""`coatcheck clock`: shows and moves the clock of a running sandbox."""

from enum import StrEnum
from typing import Annotated

import typer

from coatcheck.cli import data_directory, sandbox_api
from coatcheck.cli.console import AsJson, err, print_facts
from coatcheck.cli.data_directory import OfSandbox

PATH = "/coatcheck/sandbox/clock"


class Action(StrEnum):
    SHOW = "show"
    ADVANCE = "advance"
    SET = "set"


def clock(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.SHOW,
    value: Annotated[
        str | None,
        typer.Argument(
            help="With advance a duration such as 61d or 1d12h, with set an instant such as 2027-02-01T00:00:00Z."
        ),
    ] = None,
    data_dir: OfSandbox = data_directory.DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Shows the clock of a running sandbox. With advance or set, moves it and runs what falls due on the way.

    It returns when everything has run. The clock never moves back.

    Example: coatcheck clock advance 61d
    """
    if (action is Action.SHOW) is not (value is None):
        raise typer.BadParameter("show takes no value, and advance and set take one.")
    directory = data_directory.resolve(data_dir)
    if action is Action.SHOW:
        answer = sandbox_api.call(directory, "GET", PATH)
    else:
        with err.status("Moving the clock"):
            answer = sandbox_api.call(directory, "POST", PATH, {"clock": {action.value: value}})
    print_facts({**answer["clock"], **answer.get("ran", {})}, as_json=as_json)
