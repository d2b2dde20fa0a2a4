"""`coatcheck doctor`: examines an installation and says how to repair what is wrong."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.text import Text

from coatcheck import examination
from coatcheck.cli.console import AsJson, err, out, print_json
from coatcheck.cli.exit_codes import ExitCode
from coatcheck.cli.runtime import connect, run
from coatcheck.cli.settings import load_settings
from coatcheck.errors import CoatcheckError


def doctor(as_json: AsJson = False) -> None:
    """Checks configuration, master key, database, schema, worker and clocks, and says how to repair what is wrong.

    Changes nothing. The exit code is 8 if a check fails.

    Example: coatcheck doctor --json
    """
    with err.status("Examining the installation"):
        findings = run(_examine())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _print(finding)
    if any(finding.status is examination.Status.FAIL for finding in findings):
        raise typer.Exit(ExitCode.UNHEALTHY)


def _print(finding: examination.Finding) -> None:
    style = {
        examination.Status.OK: "green",
        examination.Status.WARN: "yellow",
        examination.Status.FAIL: "bold red",
    }[finding.status]
    out.print(Text.assemble((f"{finding.status:<6}", style), f"{finding.check:<14}", finding.message))
    if finding.fix:
        out.print(Text(f"{'':<20}{finding.fix}", style="dim"))


async def _examine() -> list[examination.Finding]:
    try:
        settings = load_settings()
    except CoatcheckError as error:
        return [
            examination.fail(
                "configuration", error.problem, "Correct the settings file or the COATCHECK_* variable."
            )
        ]
    findings = [*examination.examine_settings(settings)]
    try:
        async with connect(settings.database_url) as connection:
            findings += [finding async for finding in examination.examine_database(connection, settings)]
    except CoatcheckError as error:
        findings.append(
            examination.fail(
                "database", error.problem, "Start PostgreSQL, or correct COATCHECK_DATABASE_URL."
            )
        )
    return findings
