"""Results as tables of text."""

from collections.abc import Sequence

from tabulate import tabulate


def text_table(rows: Sequence[Sequence], header: Sequence[str]) -> str:
    """A Markdown table: the first column to the left, the others to the right, every value as it is given."""
    align = ("left", *["right"] * (len(header) - 1))
    return tabulate(rows, header, tablefmt="pipe", colalign=align, disable_numparse=True)
