"""The files of a benchmark: results.json and results.csv for programs, report.md, report.html and charts for people."""

from spectui.bench.reports.writing import write_reports

__all__ = ["write_reports"]
