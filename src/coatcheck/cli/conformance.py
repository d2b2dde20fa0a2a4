"""`coatcheck conformance`: tests of other people's integrations with a sandbox."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from coatcheck import config
from coatcheck.cli import data_directory, sandbox_api
from coatcheck.cli.console import AsJson, err, print_json, print_rows
from coatcheck.cli.data_directory import OfSandbox
from coatcheck.errors import ConfigurationError, OperatorError, ProcessorNotRunning
from coatcheck.replaced_files import replaced
from coatcheck.testing import processor_conformance as suite
from coatcheck.testing import processor_trial, report_pages
from coatcheck.testing import sandbox as sandbox_client

command_group = typer.Typer(help="Tests of integrations.", no_args_is_help=True)


@command_group.callback()
def _group() -> None:
    """Tests of integrations."""


@command_group.command()
def processor(
    url: Annotated[str, typer.Option(help="The address below which the processor has its three routes.")],
    data_dir: OfSandbox = data_directory.DEFAULT,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CASE", help="Run this case only. Can be repeated.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page to this file too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Puts a processor's integration through a fixed set of failures, and reports how it did.

    The processor calls the sandbox of --data-dir with the key of its first processor. It offers `POST /accounts`,
    `GET /accounts/{id}` and a webhook endpoint. Moves the sandbox's clock by a day. The exit code is not 0 if a case
    failed.

    Example: coatcheck conformance processor --url http://127.0.0.1:9000 --html report.html
    """
    if not config.is_url(url):
        raise typer.BadParameter("--url must be an http or https URL.")
    results = _run(url, data_directory.resolve(data_dir), _selected(only), quiet=as_json)
    # Before the page: its file may be one that cannot be written.
    _print(results, as_json=as_json)
    if html is not None:
        _write_page(html, url, results)
    if any(each.outcome is suite.Outcome.FAILED for each in results):
        raise typer.Exit(1)


def _selected(names: Sequence[str] | None) -> Sequence[suite.Case]:
    unknown = set(names or ()) - {case.name for case in suite.CASES}
    if unknown:
        raise ConfigurationError(
            f"There is no case {', '.join(sorted(unknown))}."
            f" The cases are {', '.join(case.name for case in suite.CASES)}."
        )
    return [case for case in suite.CASES if not names or case.name in names]


def _run(url: str, directory: Path, cases: Sequence[suite.Case], *, quiet: bool) -> Sequence[suite.Result]:
    credentials = data_directory.find_credentials(directory)
    with (
        sandbox_client.Sandbox(asdict(credentials)) as sandbox,
        sandbox.processor() as owner,
        contextlib.closing(processor_trial.Processor(url)) as under_test,
    ):
        trial = processor_trial.Trial(sandbox, under_test, owner)
        _expect_answer(under_test, url)
        try:
            return [suite.run_case(trial, case) for case in _announced(cases, quiet=quiet)]
        except sandbox_client.SandboxFailed as error:
            raise OperatorError(f"The sandbox refused a call: {error}") from error
        except sandbox_client.UNREACHABLE as error:
            # The sandbox: a processor that does not answer fails its cases.
            raise sandbox_api.not_running(credentials) from error


def _expect_answer(processor: processor_trial.Processor, url: str) -> None:
    try:
        # Otherwise each case waits for an answer of its own, and the report says the same twelve times.
        processor.connect()
    except OSError as error:
        raise ProcessorNotRunning(
            f"Nothing answers at {url}. Start the processor, or give its address with --url."
        ) from error


def _announced(cases: Sequence[suite.Case], *, quiet: bool) -> Iterator[suite.Case]:
    """The cases, each shown while it runs."""
    with contextlib.nullcontext() if quiet else err.status("") as status:
        for number, case in enumerate(cases, 1):
            if status is not None:
                status.update(f"{number}/{len(cases)}  {case.title}")
            yield case


def _print(results: Sequence[suite.Result], *, as_json: bool) -> None:
    if as_json:
        print_json([_facts(each) for each in results])
        return
    print_rows(
        [{"case": each.case.name, "outcome": each.outcome.value, "found": each.found} for each in results],
        as_json=False,
        empty="No case.",
    )
    counted = Counter(each.outcome for each in results)
    err.print(", ".join(f"{counted[outcome]} {outcome}" for outcome in suite.Outcome if counted[outcome]))


def _facts(result: suite.Result) -> dict[str, Any]:
    case = result.case
    return {
        "case": case.name,
        "title": case.title,
        "expects": case.expects,
        "outcome": result.outcome.value,
        "found": result.found,
        "seconds": round(result.seconds, 1),
    }


def _write_page(file: Path, url: str, results: Sequence[suite.Result]) -> None:
    page = report_pages.conformance(url, [_facts(each) for each in results])
    try:
        with replaced(file) as opened:
            opened.write(page)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from error
