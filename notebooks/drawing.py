"""A compiled graph as a picture, without the web service that `draw_mermaid_png` asks."""

# ruff: noqa: INP001 - stands beside the notebooks that import it; no package
from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

GUARD, HOST, INK = "#cfe2f3", "#f3f3f3", "#444444"


def draw(app: Any, guards: tuple[str, ...] = ()) -> None:
    """Draw `app` from left to right; the nodes named in `guards` stand out. Dashed: a conditional edge."""
    graph = app.get_graph()
    places = columns(graph)
    width = max(x for x, _ in places.values())
    figure, axes = plt.subplots(figsize=(2.1 * width + 2, 3.2))
    for edge in graph.edges:
        arrow(axes, places[edge.source], places[edge.target], edge.data or "", conditional=edge.conditional)
    for name, (x, y) in places.items():
        fill = GUARD if name in guards else HOST
        box = {"boxstyle": "round,pad=0.5", "facecolor": fill, "edgecolor": INK}
        axes.text(x, y, name.strip("_"), ha="center", va="center", fontsize=10, bbox=box, zorder=3)
    axes.set(xlim=(-0.4, width + 0.5), ylim=(-0.45, 2.1))
    axes.axis("off")
    figure.tight_layout()
    plt.show()


def columns(graph: Any) -> dict[str, tuple[float, float]]:
    """A place for each node: its distance from the start, and its turn among the nodes at that distance."""
    ways = {name: [edge.target for edge in graph.edges if edge.source == name] for name in graph.nodes}
    found, column = [["__start__"]], {"__start__"}
    while nearest := sorted({way for name in found[-1] for way in ways[name]} - column):
        found.append(nearest)
        column |= set(nearest)
    return {
        name: (x, 0.6 if len(names) == 1 else 1.2 * y / (len(names) - 1))
        for x, names in enumerate(found)
        for y, name in enumerate(names)
    }


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], label: str, *, conditional: bool) -> None:
    """An edge; one that goes back is led over the top."""
    back = end[0] < start[0]
    style = {
        "arrowstyle": "-|>",
        "color": INK,
        "linestyle": "--" if conditional else "-",
        "shrinkA": 24,
        "shrinkB": 24,
        "connectionstyle": "arc3,rad=0.45" if back else "arc3,rad=0",
    }
    axes.annotate("", xy=end, xytext=start, arrowprops=style)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    axes.text(x, y, label, fontsize=8, color=INK, ha="center", va="center", bbox={"facecolor": "white", "lw": 0, "pad": 1})
