"""The options of a link to the widget, as programs of two versions read them while one replaces the other."""

import json
from dataclasses import replace

import pytest

from coatcheck.connectors.contract import JobKind
from coatcheck.members.return_target import ReturnTarget
from coatcheck.members.widget_links import WidgetOptions

OPTIONS = WidgetOptions(
    kinds=[JobKind.AGGREGATION],
    include_transactions=True,
    background_aggregation_is_disabled=False,
    return_target=ReturnTarget(),
)


@pytest.mark.parametrize("options", [OPTIONS, replace(OPTIONS, announces_initial_data=True)])
def test_options_are_read_as_they_were_written(options: WidgetOptions) -> None:
    assert WidgetOptions.decode(options.encode()) == options


def test_an_option_that_an_earlier_version_does_not_know_is_written_only_if_it_is_used() -> None:
    assert "announces_initial_data" not in json.loads(OPTIONS.encode())


def test_an_option_of_a_later_version_is_ignored() -> None:
    written = json.dumps({**json.loads(OPTIONS.encode()), "of_a_later_version": True})
    assert WidgetOptions.decode(written) == OPTIONS
