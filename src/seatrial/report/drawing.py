"""Plots as PNG files, by matplotlib, which is imported when something is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def axes(label: str, below: str = "seconds from the start", panels: int = 1) -> tuple[Any, Any]:
    """Return a drawing and its axes (a list of them for several panels); raises ImportError without matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(drawing)
    made = [drawing.add_subplot(1, panels, number + 1) for number in range(panels)]
    for one in made:
        one.set_xlabel(below)
        one.set_ylabel(label)
        one.grid(alpha=0.3)
    return drawing, made[0] if panels == 1 else made


def save(drawing: Any, axes_: Any, path: Path) -> None:
    """Write a drawing, with a legend where something has a label."""
    if axes_.get_legend_handles_labels()[1]:
        axes_.legend(fontsize="small", ncols=2)
    drawing.savefig(path, dpi=110)
