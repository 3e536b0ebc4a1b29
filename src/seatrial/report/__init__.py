"""Reports of a run, made from its directory alone: no engine is asked, nothing is judged again.

`write` makes JUnit, HTML, Markdown and the matrix from results.jsonl and claims.json and keeps the run in
the history; `compare` tells what differs between two runs or two targets of one run.
"""

from seatrial.report.compare import Comparison, Difference, compare
from seatrial.report.writing import write

__all__ = ["Comparison", "Difference", "compare", "write"]
