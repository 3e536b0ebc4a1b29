"""Plots as PNG files, by matplotlib, which is imported when something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
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


def stacked(labels: Sequence[str], below: str = "seconds from the start") -> tuple[Any, list[Any]]:
    """Return a drawing with panels below each other that share the axis below; otherwise as `axes`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(9, 2.4 * len(labels)), layout="constrained")
    FigureCanvasAgg(drawing)
    made = list(drawing.subplots(len(labels), 1, sharex=True))
    for one, label in zip(made, labels, strict=True):
        one.set_ylabel(label)
        one.grid(alpha=0.3)
    made[-1].set_xlabel(below)
    return drawing, made


def save(drawing: Any, axes_: Any, path: Path) -> None:
    """Write a drawing, with a legend where something has a label; `axes_` are one or a list of them."""
    for one in axes_ if isinstance(axes_, list) else [axes_]:
        if one.get_legend_handles_labels()[1]:
            one.legend(fontsize="small", ncols=2)
    drawing.savefig(path, dpi=110)
