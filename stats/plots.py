"""The house style of every figure, and SVG that follows the reader's light or dark page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogs.errors import ParameterError
from catalogs.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = (
    "FORMATS",
    "INK",
    "PALETTE",
    "PAPER",
    "RULE",
    "SOFT",
    "THEME",
    "Plate",
    "css_variables",
    "new_figure",
    "save",
    "style",
    "to_svg",
)

#: ``{name: (on a light page, on a dark page)}``. A figure is drawn in the light colours; `to_svg` lets each
#: follow the page. The series colours keep a contrast of 3:1 to their paper, and stay apart for readers with
#: deuteranopia and protanopia.
THEME = {
    "paper": ("#ffffff", "#15171c"),
    "ink": ("#1c1f24", "#e6e4de"),
    "soft": ("#595e66", "#a5aab2"),
    "rule": ("#dddad3", "#383c44"),
    "blue": ("#0057a4", "#1a86e7"),
    "orange": ("#df7107", "#c86409"),
    "green": ("#07a070", "#61d088"),
    "plum": ("#9c5989", "#b1749e"),
    "brown": ("#844800", "#ffea65"),
    "sky": ("#4797d8", "#dcf3ff"),
}
PAPER, INK, SOFT, RULE, *_series = (light for light, _ in THEME.values())
PALETTE = tuple(_series)

#: The file formats of `save`, each with the metadata that would otherwise change from run to run.
FORMATS = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {}}
#: A fifth larger than at the usual level, in half the time.
OPTIONS: dict[str, Any] = {"png": {"pil_kwargs": {"compress_level": 3}}}

# Any, because the stubs of some versions of matplotlib want literal keys and those of others want strings.
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": "medium",
    "axes.linewidth": 0.8,
    "axes.prop_cycle": f"cycler(color={list(PALETTE)})",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "errorbar.capsize": 0,
    "figure.constrained_layout.use": True,
    "figure.dpi": 160,
    "figure.facecolor": PAPER,
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "image.cmap": "cividis",
    "legend.fontsize": "small",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "mathtext.fontset": "dejavusans",
    "patch.edgecolor": INK,
    "savefig.facecolor": "auto",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": "small",
    "ytick.color": INK,
    "ytick.labelsize": "small",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the house style: inside ``with style():`` or in a function decorated with ``@style()``."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def new_figure(*, width: float = 5.6, height: float = 3.7) -> Figure:
    """Return an empty figure that belongs to no window and to no global list.

    Parameters
    ----------
    width, height
        Inches. The default stays readable on a phone.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


@dataclass(frozen=True)
class Plate:
    """A finished figure and the words that go with it.

    Parameters
    ----------
    name
        The stem of its file: letters, digits, ``_``, ``-`` and ``.``.
    figure
        The drawing.
    caption
        What the reader should see in it.
    alt
        What a reader who cannot see it should know instead.
    """

    name: str
    figure: Figure
    caption: str
    alt: str

    def __post_init__(self) -> None:
        """Check what would otherwise end in a strange file or a silent picture."""
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            message = f"the name of a plate is a file stem such as 'rotation-curve', found {self.name!r}"
            raise ParameterError(message)
        if not self.alt.strip():
            message = f"plate {self.name!r} has no text alternative: say in 'alt' what the figure shows"
            raise ParameterError(message)


def save(plate: Plate, folder: str | PathLike[str], formats: Sequence[str] = ("png",)) -> list[Path]:
    """Write a plate as ``folder/name.format``, once for each format.

    Parameters
    ----------
    plate
        The figure; equal figures give equal bytes.
    folder
        Made where it does not exist.
    formats
        Any of ``png``, ``pdf`` and ``svg``.

    Raises
    ------
    ParameterError
        For another format.
    CatalogFileError
        If the folder or file cannot be written.
    """
    import matplotlib as mpl

    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        message = f"a figure is saved as {', '.join(FORMATS)}; found {', '.join(unknown)}"
        raise ParameterError(message)
    written = []
    for kind in formats:
        path = Path(folder) / f"{plate.name}.{kind}"
        with atomic_write(path) as partial:
            if kind == "svg":
                partial.write_text(to_svg(plate.figure), encoding="utf-8")
            else:
                with mpl.rc_context({"savefig.dpi": "figure"}):
                    plate.figure.savefig(partial, format=kind, metadata=FORMATS[kind], **OPTIONS.get(kind, {}))
        written.append(path)
    return written


def css_variables(*, dark: bool) -> str:
    """Return the theme as CSS declarations, ``--ink:#1c1f24;...``."""
    return ";".join(f"--{name}:{pair[dark]}" for name, pair in THEME.items())


def to_svg(figure: Figure) -> str:
    """Return a figure as SVG whose theme colours follow the light or dark scheme of the page around it.

    Text is drawn as outlines, so that it looks the same where the font is missing. Equal figures give equal
    text: no date, no random identifier.

    Parameters
    ----------
    figure
        Drawn within `style`; other colours than those of `THEME` stay as they are.

    Returns
    -------
    str
        One ``<svg>`` element that needs nothing from outside.
    """
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "astrotk", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawing = stream.getvalue()
    head, body = drawing[drawing.index("<svg") :].split(">", 1)
    variables = {light: f"var(--{name})" for name, (light, _) in THEME.items()}
    body = re.sub(r"(?<=: )#[0-9a-f]{6}\b", lambda found: variables.get(found[0], found[0]), body)
    # matplotlib leaves out a black fill, the default of SVG: on a dark page that default must be the ink.
    sheet = (
        f"svg{{{css_variables(dark=False)};fill:var(--ink)}}"
        f"@media(prefers-color-scheme:dark){{svg{{{css_variables(dark=True)}}}}}"
    )
    return f"{head}><style>{sheet}</style>{body}"
