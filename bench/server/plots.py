"""The curves as pictures: SVG, the same octets for the same figures."""

from collections.abc import Sequence
from pathlib import Path

from bench.server.curves import Plot

INCHES = (7.0, 4.5)


def draw_all(plots: Sequence[Plot], folder: Path) -> None:
    """Write `NAME.svg` of each plot that has curves."""
    import matplotlib as mpl

    mpl.use("svg")
    with mpl.rc_context({"svg.hashsalt": "mailkeep", "svg.fonttype": "none"}):
        for plot in plots:
            if plot.curves:
                _draw(plot, folder / f"{plot.name}.svg")


def _draw(plot: Plot, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.add_subplot()
    for curve in plot.curves:
        numbers, costs = zip(*curve.points, strict=True)
        axes.plot(numbers, costs, marker="o", label=curve.name)
    axes.set_xscale("symlog" if plot.curves[0].points[0][0] == 0 else "log")
    axes.set_yscale("log")
    axes.set_xlabel(plot.over)
    axes.set_ylabel("ms of CPU")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})
