"""The report of an evaluation: one HTML page that says what was measured, how, and what went wrong."""

from detect.report.write import numbered_as, write_report

__all__ = ["numbered_as", "write_report"]
