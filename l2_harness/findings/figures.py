"""How every figure looks and is written: without a display, as PNG and as SVG.

Colours are Okabe and Ito's, which all common kinds of colour vision tell apart; lines differ in
marker too. The same data give the same files: SVG gets no date and no random identifiers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
PURPLE, YELLOW, SKY, BLACK = "#CC79A7", "#E69F00", "#56B4E9", "#000000"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY, BLACK, "#666633")
MARKERS = "osv^D<>pP*XhH"

_DPI = 150
#: Of a title; a longer one goes on in a second line.
_TITLE_LETTERS_AN_INCH = 9


def new_figure(
    title: str, columns: int = 1, rows: int = 1, *, width: float = 5.5, height: float = 4.5
) -> tuple[Figure, list[Axes]]:
    """A figure with its panels, row by row; ``width`` and ``height`` of a panel, in inches."""
    # No pyplot: it would choose a display and keep every figure alive.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (width * columns + 1, height * rows)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(fill(title, int(_TITLE_LETTERS_AN_INCH * size[0])), fontsize=12)
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def new_grid(
    title: str, count: int, columns: int, *, width: float, height: float
) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels in rows of at most ``columns``; what is left over is blank."""
    columns = min(count, columns)
    figure, panels = new_figure(title, columns, -(-count // columns), width=width, height=height)
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, panels[:count]


def save_figure(figure: Figure, path: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write ``figure`` once a format, ``path`` being the file without its suffix."""
    import matplotlib

    _lay_out(figure)
    written = []
    for name in formats:
        file = path.with_name(f"{path.name}.{name}")
        metadata = {"Date": None} if name == "svg" else {"Software": None}
        with matplotlib.rc_context({"svg.hashsalt": "l2-harness", "svg.fonttype": "path"}):
            figure.savefig(file, dpi=_DPI, metadata=metadata)
        written.append(file)
    return written


def _lay_out(figure: Figure) -> None:
    """Once, and without the drawing that each file of a figure with a layout begins with."""
    engine = figure.get_layout_engine()
    if engine is not None:
        figure.dpi = _DPI
        engine.execute(figure)
        figure.set_layout_engine(None)
