"""Reports of a run, made from its directory alone: no engine is asked, nothing is judged again.

    write    results.jsonl and claims.json in, JUnit, HTML, Markdown and matrix out; the run enters history
    compare  two runs, or two targets of one run: what differs
"""

from seatrial.report.compare import Comparison, Difference, compare
from seatrial.report.writing import write

__all__ = ["Comparison", "Difference", "compare", "write"]
