from __future__ import annotations

import itertools
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from catalogs.errors import CatalogFileError, ParameterError
from stats.plots import INK, PALETTE, PAPER, THEME, Plate, css_variables, new_figure, save, style, to_svg

# What the severest protanopia and deuteranopia make of linear RGB (Machado, Oliveira & Fernandes 2009).
SIGHT = {
    "trichromacy": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def linear(colour):
    srgb = np.array(mpl.colors.to_rgb(colour))
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The contrast ratio of WCAG 2."""
    dark, light = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(rgb):
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    x, y, z = np.cbrt(to_xyz @ np.clip(rgb, 1e-3, 1) / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@style()
def drawing():
    figure = new_figure()
    axes = figure.subplots()
    axes.plot([0, 1], [1, 3], label="model")
    axes.scatter([0.5], [2], color="#123456")
    axes.set(xlabel="x", title="title")
    axes.legend()
    return figure


def plate(**changes):
    return Plate(**{"name": "a-plate", "figure": drawing(), "caption": "A line.", "alt": "A rising line."} | changes)


class TestTheme:
    @pytest.mark.parametrize("dark", [False, True])
    def test_contrast(self, dark):
        colours = {name: pair[dark] for name, pair in THEME.items()}
        paper = colours.pop("paper")
        del colours["rule"]  # a grid line carries nothing that the axis does not
        assert contrast(colours.pop("ink"), paper) > 7
        assert contrast(colours.pop("soft"), paper) > 4.5
        assert min(contrast(colour, paper) for colour in colours.values()) > 3
        assert contrast(colours["blue"], paper) > 4.5  # links

    @pytest.mark.parametrize("dark", [False, True])
    @pytest.mark.parametrize("sight", SIGHT)
    def test_series_stay_apart(self, dark, sight):
        series = [pair[dark] for pair in THEME.values()][4:]
        seen = [lab(np.array(SIGHT[sight]) @ linear(colour)) for colour in series]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 20

    def test_colours_differ_so_that_each_finds_its_variable(self):
        assert len({light for light, _ in THEME.values()}) == len(THEME)


class TestFigure:
    def test_style_ends_where_it_should(self):
        mpl.get_backend()  # is looked up at its first use, by whoever asks
        before = mpl.rcParams.copy()
        assert drawing().axes[0].lines[0].get_color() == PALETTE[0]
        assert mpl.rcParams == before

    def test_needs_no_window_and_imports_late(self):
        code = (
            "import sys, stats.plots; assert 'matplotlib' not in sys.modules\n"
            "with stats.plots.style(): stats.plots.to_svg(stats.plots.new_figure())\n"
            "assert 'matplotlib.pyplot' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestPlate:
    @pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b"])
    def test_name_is_a_file_stem(self, name):
        with pytest.raises(ParameterError, match="file stem"):
            plate(name=name)

    def test_needs_a_text_alternative(self):
        with pytest.raises(ParameterError, match="'a-plate' has no text alternative"):
            plate(alt=" ")


class TestSave:
    def test_writes_each_format(self, tmp_path):
        written = save(plate(), tmp_path / "new" / "folder", ("png", "pdf", "svg"))
        assert [path.name for path in written] == ["a-plate.png", "a-plate.pdf", "a-plate.svg"]
        heads = [path.read_bytes()[:4] for path in written]
        assert heads == [b"\x89PNG", b"%PDF", b"<svg"]

    def test_equal_figures_give_equal_bytes(self, tmp_path):
        one, other = (save(plate(), tmp_path / name, ("png", "pdf", "svg")) for name in "ab")
        assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]

    def test_refuses_other_formats_before_writing(self, tmp_path):
        with pytest.raises(ParameterError, match="png, pdf, svg; found tiff"):
            save(plate(), tmp_path, ("png", "tiff"))
        assert not list(tmp_path.iterdir())

    def test_names_a_folder_that_cannot_be(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(CatalogFileError, match="file"):
            save(plate(), tmp_path / "file")


class TestSvg:
    def test_theme_colours_become_variables(self):
        svg = to_svg(drawing())
        root = ET.fromstring(svg)  # noqa: S314 - our own text
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        sheet = next(child.text for child in root if child.tag.endswith("style"))
        assert css_variables(dark=False) in sheet
        assert "prefers-color-scheme:dark){svg{" + css_variables(dark=True) in sheet
        drawn = svg.replace(sheet, "")
        for variable in ("paper", "ink", "rule", "blue"):
            assert f"var(--{variable})" in drawn
        assert not any(f": {light}" in drawn for light in (INK, PAPER, PALETTE[0]))

    def test_other_colours_stay(self):
        assert "#123456" in to_svg(drawing())

    def test_black_drawn_by_default_follows_the_ink(self):
        figure = new_figure()
        figure.text(0.5, 0.5, "black")
        assert "fill:var(--ink)" in to_svg(figure)

    def test_is_the_same_text_in_every_process(self):
        code = (
            "import stats.plots\n"
            "with stats.plots.style():\n"
            "    f = stats.plots.new_figure(); f.subplots().plot([0, 1]); print(stats.plots.to_svg(f))"
        )
        one, other = (
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout for _ in "ab"
        )
        assert one == other

    def test_refers_to_nothing_outside(self):
        root = ET.fromstring(to_svg(drawing()))  # noqa: S314 - our own text
        references = [
            value for element in root.iter() for name, value in element.items() if name.endswith(("href", "src"))
        ]
        assert references
        assert all(reference.startswith("#") for reference in references)
