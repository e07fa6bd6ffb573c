"""What `tools/benchmark.py growth` does: measure the curves, print them, write a page and a file."""

import os
from collections.abc import Sequence

from detect.benchmarks.growth import as_json, grow
from detect.benchmarks.growth_page import machine, write_page
from detect.data.catalog import datasets_root
from detect.utils.errors import UserError
from detect.utils.files import write_json
from detect.utils.plots import new_figure
from detect.utils.provenance import code_version


def benchmark_growth(
    curves: Sequence[str] = (),
    *,
    quick: bool = False,
    largest: bool = False,
    annotation: str = "",
    page: str = "",
    json_file: str = "",
) -> None:
    """See tools/benchmark.py. annotation: a pyannot.pkl, by default that of the datasets' folder, else made ones."""
    if page:
        if not page.endswith(".md"):
            raise UserError(f"--page {page}: expected a name that ends in .md, such as docs/growth.md")
        new_figure(1, 1)  # an extra that is missing is said before minutes are spent
    if annotation and not os.path.isfile(annotation):
        raise UserError(f"--annotation {annotation}: there is no such file; give UCF101-24's pyannot.pkl, or nothing")
    known = [datasets_root() / "ucf24" / name for name in ("splitfiles/pyannot.pkl", "pyannot.pkl")]
    annotation = annotation or next((str(path) for path in known if path.is_file()), "")
    print(f"annotations: {os.path.abspath(annotation) if annotation else 'made ones; --annotation FILE for real ones'}")
    found = {}
    for name, grown in grow(curves, quick=quick, largest=largest, annotation=annotation):
        found[name] = grown
        if grown.stopped:
            print(f"{name} {grown.stopped}")
    if page:
        write_page(page, found)
    if json_file:
        measured = {"curves": as_json(found), "quick": quick, "machine": machine(), "annotation": annotation}
        write_json(json_file, {**measured, **code_version()})
