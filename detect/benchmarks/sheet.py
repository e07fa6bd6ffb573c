"""What a benchmark found, as a table that is printed, kept as JSON and put into the documentation."""

import json
import platform
import re
import shlex
import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from tabulate import tabulate

from detect.utils.errors import UserError
from detect.utils.files import read_text, write_json, write_text
from detect.utils.provenance import code_version

BLOCK = re.compile(r"(<!-- benchmark (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass
class Sheet:
    """name: of the benchmark and its file.  command: that makes it again.  what: in a sentence, with the sizes.
    columns, rows: of texts.  data: the figures behind them.  machine: where it ran.
    """

    name: str
    command: str
    what: str
    columns: list[str]
    rows: list[list[str]]
    data: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=lambda: this_machine())

    def markdown(self) -> str:
        facts = ", ".join(f"{key} {value}" for key, value in self.machine.items() if value is not None)
        table = tabulate(self.rows, self.columns, tablefmt="pipe", disable_numparse=True)
        return f"```bash\n{self.command}\n```\n\n{self.what} {facts}.\n\n{table}"


def timed_sheet(
    name: str,
    command: str,
    what: str,
    times: Mapping[str, list[float]],
    first: str,
    extra: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Sheet:
    """A row for each of `times`, {row: seconds of every round}, with its ratio to the row `first` in the same rounds.

    extra: {column: {row: text}}.
    """
    rows, data = [], {}
    for row, seconds in times.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(times[first], seconds, strict=True))
        more = {column: texts.get(row, "") for column, texts in extra.items()}
        data[row] = {"seconds": seconds, "ratio": ratio, **more}
        rows.append(
            [row, milliseconds(statistics.median(seconds)), milliseconds(min(seconds)), f"{ratio:.2f}", *more.values()]
        )
    return Sheet(name, command, what, ["", "ms, median", "ms, least", f"times {first}", *extra], rows, data)


def publish(sheet: Sheet, json_file: str = "") -> None:
    """Print a sheet, and write it to `json_file` if that is not empty."""
    print(f"{sheet.what}\n\n{tabulate(sheet.rows, sheet.columns, tablefmt='pipe', disable_numparse=True)}")
    if json_file:
        write_json(json_file, asdict(sheet))


def fill(page: Path, folder: Path) -> list[str]:
    """Put the sheets of `folder`, NAME.json, between `<!-- benchmark NAME -->` and `<!-- end -->` of a Markdown page.
    Returns their names; UserError for a place without its file.
    """
    names = []

    def block(match: re.Match) -> str:
        path = folder / f"{match[2]}.json"
        if not path.is_file():
            raise UserError(f"{page}: has a place for the benchmark {match[2]!r}, but there is no {path}")
        names.append(match[2])
        return f"{match[1]}{Sheet(**json.loads(read_text(path))).markdown()}\n{match[3]}"

    filled = BLOCK.sub(block, read_text(page))
    write_text(page, filled)
    return names


def this_machine() -> dict[str, Any]:
    """Processor, threads and versions: what decides a time."""
    versions = {key: value for key, value in code_version().items() if key == "torch"}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"on": _processor(), "GPU": gpu, "threads": torch.get_num_threads(), **versions}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f}" if seconds >= 0.1 else f"{1000 * seconds:.1f}"


def command_line() -> str:
    """What was typed, without the file that the figures go to."""
    words = iter(sys.argv[1:])
    kept = [word for word in words if word != "--json" or not next(words)]
    return " ".join(["python tools/benchmark.py", *map(shlex.quote, kept)])
