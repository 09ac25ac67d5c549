from __future__ import annotations

import sys
import types
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from astrotk.cli.report import command
from astrotk.report import KINDS, Section, plates_of, write_page
from astrotk.report.numbers import Scale, cell, plain, signed
from catalogs.errors import CatalogFileError, ParameterError
from catalogs.provenance import Provenance
from catalogs.result import Result
from stats.demo import Demo
from stats.plots import Plate, new_figure, style

HOSTILE = "<script>alert('x')</script>\" onload=\"x"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The elements of a page, and whether each one is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"{tag} repeats an attribute: {names}"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@style()
def plate(alt="A line from the lower left to the upper right."):
    figure = new_figure()
    figure.subplots().plot([0, 1])
    return Plate("line", figure, "A line.", alt)


def result(kind="darkexp", name="NGC 1"):
    galaxies = Table({"name": [name, "b"], "mass": [1.5e11, np.nan], "ok": [True, False]})
    galaxies["mass"].unit = "solMass"
    rejected = Table({"name": ["UGC 9"], "where": ["row 3"], "reason": ["expected a positive error, found -1"]})
    provenance = Provenance(
        seed=7,
        inputs={"a.dat": "ab" * 32},
        settings={"note": name},
        command="astrotk x",
        versions={"numpy": "9"},
    )
    return Result(kind, {"galaxies": galaxies, "rejected": rejected}, {}, provenance)


def demo(*rows, name="NGC 1", title="Haloes"):
    truth = Table(
        rows=rows or [(name, "mass", "Msun", 11.8, 11.834, 0.041), (name, "slope", "", -1.0, -1.2, np.nan)],
        names=("object", "quantity", "unit", "truth", "recovered", "error"),
    )
    return Demo(title, "Made and recovered.", result(name=name), truth, (plate(),))


def page(path, *sections, title="A page"):
    return Page(write_page(path, title=title, sections=sections).read_text(encoding="utf-8"))


class TestPage:
    @pytest.fixture
    def written(self, tmp_path):
        sections = (Section.of_demo(demo(), 12.34), Section.of_result(result(), [plate(), plate()]))
        return page(tmp_path / "new" / "page.html", *sections)

    def test_loads_nothing(self, written):
        sources = [
            value
            for tag, attributes in written.elements
            for name, value in attributes.items()
            if name in {"src", "srcset", "href", "data", "action", "poster"}
        ]
        assert sources
        assert all(source.startswith(("#", "data:image/svg+xml;base64,")) for source in sources)
        assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in written.elements}
        assert "url(" not in written.words
        assert "@import" not in written.words

    def test_forbids_loading_anything(self, written):
        policy = next(meta["content"] for meta in written.all("meta") if "http-equiv" in meta)
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")

    def test_can_be_read_by_everyone(self, written):
        assert written.all("html") == [{"lang": "en"}]
        assert {"name": "color-scheme", "content": "light dark"} in written.all("meta")
        assert any(meta.get("name") == "viewport" for meta in written.all("meta"))
        assert len(written.all("img")) == 3
        assert all(image["alt"].startswith("A line from") for image in written.all("img"))
        assert len(written.all("h1")) == len(written.all("main")) == 1
        assert all("scope" in header for header in written.all("th"))

    def test_links_lead_somewhere(self, written):
        names = [attributes["id"] for _, attributes in written.elements if "id" in attributes]
        assert len(names) == len(set(names))
        targets = [anchor["href"][1:] for anchor in written.all("a")]
        targets += [a["aria-labelledby"] for _, a in written.elements if "aria-labelledby" in a]
        assert "content" in targets
        assert set(targets) <= set(names)

    def test_says_what_was_recovered(self, written):
        for words in ("11.800 11.834 ± 0.041", "+0.8", "recovered", "no error bar", "1 of 2", "12.3 s"):
            assert words in written.words

    def test_says_how_it_was_made(self, written):
        for words in ("astrotk x", "a.dat", "sha256 " + "ab" * 32, "Seed 7", "numpy 9"):
            assert words in written.words

    def test_shows_the_tables(self, written):
        for words in ("Table “galaxies” 2 rows", "Table “rejected” 1 row", "1.5 × 10¹¹", "yes", "found -1"):
            assert words in written.words

    def test_hostile_words_stay_words(self, tmp_path):
        hostile = demo(name=HOSTILE, title=HOSTILE)
        hostile.result.tables["galaxies"].rename_column("ok", HOSTILE)
        sections = (
            Section.of_demo(hostile, 1.0),
            Section.of_result(result(HOSTILE), [plate(alt=HOSTILE)]),
        )
        written = page(tmp_path / "page.html", *sections, title=HOSTILE)
        assert not written.all("script")
        assert not any("onload" in attributes for _, attributes in written.elements)
        assert written.words.count("<script>alert('x')</script>") >= 6
        assert HOSTILE in [image["alt"] for image in written.all("img")]

    def test_long_tables_are_cut_and_say_so(self, tmp_path):
        long = Result("darkexp", {"stars": Table({"n": np.arange(1000, 2000)})})
        written = page(tmp_path / "page.html", Section.of_result(long, ()))
        assert "1000 rows, the first 20 shown" in written.words
        assert "1019" in written.words
        assert "1020" not in written.words

    def test_page_of_results_counts_rows(self, tmp_path):
        written = page(tmp_path / "page.html", Section.of_result(result(), (), title="mine"))
        assert "Result Rows Left out Made mine 2 1 —" in written.words

    @pytest.mark.parametrize(
        ("pulls", "words"),
        [
            ([0.5, 1.0], "✓ all recovered 2 of 2 1.0"),
            ([0.5, 7.0], "✗ 1 missed 1 of 2 7.0"),
            ([1e-4] * 4, "✗ error bars implausible 4 of 4 0.0"),
            ([np.nan], "– no error bars 0 of 1 —"),
        ],
    )
    def test_verdict_of_a_system(self, tmp_path, pulls, words):
        rows = [("A", "x", "", 0.0, pull, 1.0 if np.isfinite(pull) else np.nan) for pull in pulls]
        written = page(tmp_path / "page.html", Section.of_demo(demo(*rows), 90))
        assert f"{words} 1.5 min" in written.words

    def test_names_a_place_that_cannot_be_written(self, tmp_path):
        with pytest.raises(CatalogFileError, match=str(tmp_path)):
            write_page(tmp_path, title="x", sections=[])


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "error", "written"),
        [
            (11.834, 0.041, "11.834 ± 0.041"),
            (10.9, 1.26, "10.9 ± 1.3"),
            (-1.0211, 0.0996, "−1.02 ± 0.10"),
            (12345.0, 678.0, "12340 ± 680"),
            (1.2412e-7, 3.1e-9, "(1.241 ± 0.031) × 10⁻⁷"),
            (-4.5e12, 2e11, "(−4.50 ± 0.20) × 10¹²"),
            (0.0, 0.02, "0.000 ± 0.020"),
            (5e-324, 5e-324, "(4.9 ± 4.9) × 10⁻³²⁴"),
        ],
    )
    def test_error_decides_the_digits(self, value, error, written):
        assert Scale.of(value, error).write_with_error(value, error) == written

    @settings(max_examples=200)
    @given(st.floats(-1e15, 1e15), st.floats(1e-12, 1e15))
    def test_rounding_is_small_against_the_error(self, value, error):
        written = Scale.of(value, error).write(value)
        mantissa, _, power = written.replace("−", "-").partition(" × 10")
        ordinary = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
        read = float(f"{mantissa}e{power.translate(ordinary) or 0}")
        assert abs(read - value) <= 0.051 * error + 1e-15 * abs(value)

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (0.0, "0"),
            (0.5, "0.5"),
            (12345.6, "12350"),
            (-0.00123456, "−0.001235"),
            (6.02214e23, "6.022 × 10²³"),
            (np.nan, "nan"),
            (-np.inf, "−inf"),
        ],
    )
    def test_without_an_error(self, value, written):
        assert plain(value) == written

    def test_pull_always_has_a_sign(self):
        assert [signed(pull) for pull in (0.04, 1.26, -2.0)] == ["+0.0", "+1.3", "−2.0"]

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (MaskedColumn([1.0], mask=[True])[0], "—"),
            (np.zeros((2, 3)), "array (2, 3)"),
            (b"abc", "abc"),
            (np.True_, "yes"),
            (np.int64(-12345678), "−12345678"),
            (np.float32(0.1), "0.1"),
            ("text", "text"),
        ],
    )
    def test_cells(self, value, written):
        assert cell(value) == written


class TestCommand:
    @pytest.fixture
    def drawn(self, monkeypatch):
        """Stand in for the module that draws the results of this kind."""
        module = types.ModuleType("astrotk.darkexp.figures")
        module.plates = lambda result: (plate(),)
        monkeypatch.setitem(sys.modules, KINDS["darkexp"], module)

    def test_makes_a_page_from_files(self, tmp_path, drawn):
        files = [str(result().write(tmp_path / f"{name}.h5")) for name in ("one", "two")]
        out = tmp_path / "page.html"
        ran = CliRunner().invoke(command, [*files, "--out", str(out)], catch_exceptions=False)
        assert ran.exit_code == 0
        assert ran.output.strip() == str(out)
        written = Page(out.read_text(encoding="utf-8"))
        assert len(written.all("img")) == 2
        assert "one (darkexp)" in written.words
        assert "two (darkexp)" in written.words

    def test_needs_a_result(self):
        assert CliRunner().invoke(command, []).exit_code == 2

    def test_imports_no_file_that_a_result_names(self):
        with pytest.raises(ParameterError, match="kind 'os': expected one of darkexp"):
            plates_of(result("os"))
