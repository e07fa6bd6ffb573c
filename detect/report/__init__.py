"""The report of an evaluation: one HTML page with the scores, the protocol and the errors."""

from detect.report.write import numbered_as, write_report

__all__ = ["numbered_as", "write_report"]
