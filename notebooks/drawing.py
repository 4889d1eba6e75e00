"""A compiled graph as a picture, without the web service that `draw_mermaid_png` asks."""

# ruff: noqa: INP001 - stands beside the notebooks that import it; no package
from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.text import Text

GUARD, HOST, INK = "#cfe2f3", "#f3f3f3", "#444444"


def draw(app: Any, guards: tuple[str, ...] = ()) -> None:
    """Draw `app` from left to right; the nodes named in `guards` stand out. Dashed: a conditional edge."""
    graph = app.get_graph()
    places = columns(graph)
    width = max(x for x, _ in places.values())
    figure, axes = plt.subplots(figsize=(2 * width + 1.2, 2.8))
    axes.set(xlim=(-0.3, width + 0.3), ylim=(-0.3, 1.9))
    axes.axis("off")
    figure.tight_layout()
    boxes = {name: node(axes, name, place, GUARD if name in guards else HOST) for name, place in places.items()}
    for edge in graph.edges:
        arrow(axes, boxes[edge.source], boxes[edge.target], edge.data or "", conditional=edge.conditional)
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


def node(axes: Axes, name: str, place: tuple[float, float], fill: str) -> Text:
    box = {"boxstyle": "round,pad=0.5", "facecolor": fill, "edgecolor": INK}
    return axes.text(*place, name.strip("_"), ha="center", va="center", fontsize=10, bbox=box, zorder=3)


BEND = 0.45
"""How far an edge that goes back is led over the others, as a part of its length."""


def arrow(axes: Axes, start: Text, end: Text, label: str, *, conditional: bool) -> None:
    """An edge from box to box; one that goes back is led over the top, and its label with it."""
    if start is end:
        again(axes, start, label, conditional=conditional)
        return
    place, to_place = start.get_position(), end.get_position()
    bend = BEND if to_place[0] < place[0] else 0.0
    style = {
        "arrowstyle": "-|>",
        "color": INK,
        "linestyle": "--" if conditional else "-",
        "patchA": start.get_bbox_patch(),
        "patchB": end.get_bbox_patch(),
        "shrinkA": 2,
        "shrinkB": 3,
        "connectionstyle": f"arc3,rad={bend}",
    }
    axes.annotate("", xy=to_place, xytext=place, arrowprops=style)
    white = {"facecolor": "white", "lw": 0, "pad": 1}
    middle = halfway(axes, place, to_place, bend)
    axes.text(*middle, label, fontsize=8, color=INK, ha="center", va="center", bbox=white, zorder=3.5)


def again(axes: Axes, box: Text, label: str, *, conditional: bool) -> None:
    """An edge from a box to itself, as a loop above it."""
    x, y = box.get_position()
    style = {"arrowstyle": "-|>", "color": INK, "linestyle": "--" if conditional else "-"}
    ends = {"xy": (x - 0.1, y + 0.16), "xytext": (x + 0.1, y + 0.16)}
    axes.annotate("", **ends, arrowprops={**style, "connectionstyle": "arc3,rad=1.6"})
    axes.text(x, y + 0.6, label, fontsize=8, color=INK, ha="center", va="center", zorder=3.5)


def halfway(axes: Axes, place: tuple[float, float], to_place: tuple[float, float], bend: float) -> tuple[float, float]:
    """The middle of a bent edge: bends are circles on the screen, not in the data."""
    (x, y), (to_x, to_y) = axes.transData.transform([place, to_place])
    bent = ((x + to_x + bend * (to_y - y)) / 2, (y + to_y - bend * (to_x - x)) / 2)
    return tuple(axes.transData.inverted().transform(bent))
