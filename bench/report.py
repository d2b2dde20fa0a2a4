"""What a benchmark found: a table, JSON, plots, and the comparison with what was found before."""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from rich.console import Console

RECORDED = Path("docs/performance/results.json")
OURS, BARE = "Coatcheck", "bare handler"
LEAST_PART = 0.5
"""Of the recorded ratio."""
WIDTH, BAR, LABEL = 760, 22, 250


@dataclass(frozen=True)
class Figures:
    """Medians of the rounds."""

    per_second: float
    server_us: float
    """CPU time of the server for each request, in microseconds."""
    database_us: float
    p50_ms: float
    p99_ms: float
    ratio: float
    """Coatcheck's requests per second, as a multiple of this server's."""

    @property
    def cpu_us(self) -> float:
        return self.server_us + self.database_us


@dataclass
class Results:
    idle_mb: float
    """Resident memory of the idle web process."""
    cases: dict[str, dict[str, Figures]] = field(default_factory=dict)
    rates: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    """Latencies of Coatcheck at parts of its largest number of requests per second: p50 and p99, in milliseconds."""


def write(results: Results, output: Path, console: Console) -> None:
    """Writes results.md, results.json and a plot of each case, and prints the tables."""
    output.mkdir(parents=True, exist_ok=True)
    text = as_markdown(results)
    (output / "results.md").write_text(text)
    content = {
        "machine": machine(),
        "command": " ".join(["python -m bench.run", *sys.argv[1:]]),
        **asdict(results),
    }
    (output / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    for name, case in results.cases.items():
        if len(case) > 1:
            (output / f"{_file_name(name)}.svg").write_text(plot(name, case))
    console.print(text, markup=False, highlight=False)
    console.print(f"written to {output}")


def check(results: Results, console: Console) -> None:
    """Ends the process with 1 if a ratio of CPU times to the bare handler is less than half of the recorded one.

    CPU time, because requests per second depend on who else has the cores at the moment.
    """
    recorded = json.loads(RECORDED.read_text())["cases"]
    failed = False
    for name, case in results.cases.items():
        bare, ours = (Figures(**recorded[name][each]) for each in (BARE, OURS))
        least = LEAST_PART * bare.cpu_us / ours.cpu_us
        found = case[BARE].cpu_us / case[OURS].cpu_us
        failed |= found < least
        console.print(
            f"{name}: the bare handler takes {found:.2f} of Coatcheck's CPU time, at least {least:.2f}"
        )
    if failed:
        sys.exit("It takes more than twice the CPU time that docs/performance records, by the bare handler.")


def machine() -> str:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GB, Python {platform.python_version()}"


def as_markdown(results: Results) -> str:
    lines = [
        "# Results",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine()}. [Method](README.md).",
        "",
    ]
    for name, case in results.cases.items():
        lines += [
            f"## {name[0].upper()}{name[1:]}",
            "",
            "| | requests/s | server us | PostgreSQL us | p50 ms | p99 ms | Coatcheck is |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {server} | {each.per_second:,.0f} | {each.server_us:,.0f} | {each.database_us:,.0f} |"
            f" {each.p50_ms:.2f} | {each.p99_ms:.2f} | {'' if server == OURS else f'{each.ratio:.2f} x'} |"
            for server, each in case.items()
        ]
        if name in results.rates:
            rates = (f"at {part} {p50:.1f} and {p99:.1f}" for part, (p50, p99) in results.rates[name].items())
            lines += ["", f"Latency at fixed rates, p50 and p99 in ms: {'; '.join(rates)}."]
        if len(case) > 1:
            lines += [
                "",
                f'<img src="{_file_name(name)}.svg" width="{WIDTH}" alt="Requests per second: {name}">',
            ]
        lines.append("")
    lines += [f"Memory of the idle web process: {results.idle_mb:.0f} MB resident.", ""]
    return "\n".join(lines)


def plot(title: str, case: dict[str, Figures]) -> str:
    """Bars of the requests per second, as SVG."""
    longest = max(each.per_second for each in case.values())
    height = 34 + BAR * len(case) + 8
    bars = []
    for number, (server, each) in enumerate(case.items()):
        y = 34 + BAR * number
        width = (WIDTH - LABEL - 90) * each.per_second / longest
        color = "#1f6feb" if server == OURS else "#8b949e"
        bars.append(
            f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(server)}</text>'
            f'<rect x="{LABEL}" y="{y + 2}" width="{width:.0f}" height="{BAR - 6}" fill="{color}"/>'
            f'<text x="{LABEL + width + 6:.0f}" y="{y + 14}">{each.per_second:,.0f}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif"'
        f' font-size="12" fill="#57606a"><title>{escape(title)}</title><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="8" y="20" font-size="14">Requests per second: {escape(title)}</text>{"".join(bars)}</svg>\n'
    )


def _file_name(case: str) -> str:
    return case.replace(",", "").replace(" ", "-")
