"""A result comes back from its files as it was, whatever is in it."""

from __future__ import annotations

import contextlib
import csv
import json
import subprocess
import sys

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pyarrow import parquet

from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError, ParameterError
from catalogs.provenance import Provenance, Rejected
from catalogs.result import Result, read_result_table, rejected_table

RECORD = Provenance.record(seed=3, settings={"cut": 1.5, "quote": "it's ''&"}, command="astrotk x")
DTYPES = ("f8", "f4", "i8", "i4", "i2", "i1", "u8", "u2", "u1", "?", "U5")
UNITS = (None, u.km / u.s, u.Msun, u.Lsun / u.pc**2, u.dex(u.cm / u.s**2), u.mag, u.percent, 1e9 * u.Lsun)
ONE_TABLE = ("ecsv", "fits", "csv", "parquet")


def ends(text):
    """Text without the blanks at its end, which FITS does not keep, nor those that CSV cells may lose."""
    return text.strip()


@st.composite
def tables(draw, alphabet):
    size, table = draw(st.integers(0, 5)), Table()
    text = st.text(alphabet, min_size=1, max_size=5).map(ends).filter(bool)
    for at, dtype in enumerate(draw(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=4))):
        elements = text if dtype[0] == "U" else arrays.from_dtype(np.dtype(dtype))
        values = np.array(draw(st.lists(elements, min_size=size, max_size=size)), dtype=dtype)
        mask = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), dtype=bool)
        table[f"[c/{at}]"] = MaskedColumn(values, mask=mask) if mask.any() else values
        table[f"[c/{at}]"].description = draw(st.none() | text)
        if dtype[0] != "U":
            table[f"[c/{at}]"].unit = draw(st.sampled_from(UNITS))
    return table


def assert_same(found, wanted, *, nan_is_masked=False):
    assert found.colnames == wanted.colnames
    for name in wanted.colnames:
        one, two = found[name], wanted[name]
        mask = np.ma.getmaskarray(two)
        if nan_is_masked and mask.any() and two.dtype.kind == "f":
            mask = mask | np.isnan(np.ma.getdata(two))
        assert one.dtype.kind == two.dtype.kind
        assert one.dtype == two.dtype or two.dtype.kind == "U"
        assert (one.unit, one.description) == (two.unit, two.description)
        np.testing.assert_array_equal(np.ma.getmaskarray(one), mask)
        np.testing.assert_array_equal(np.ma.getdata(one)[~mask], np.ma.getdata(two)[~mask])


@pytest.mark.parametrize("kind", ["h5", *ONE_TABLE])
def test_tables_survive(tmp_path_factory, kind):
    # FITS is ASCII; elsewhere any letter will do.
    letters = st.characters(codec="ascii" if kind == "fits" else "utf-8", exclude_categories=("C",))

    @settings(max_examples=30)
    @given(tables(letters))
    def check(table):
        path = tmp_path_factory.mktemp("result") / f"a.{kind}"
        result = Result("kind", {"main": table}, provenance=RECORD)
        assert result.write(path) == path
        if kind == "h5":
            again = Result.read(path)
            assert (again.kind, again.provenance) == ("kind", RECORD)
            assert_same(again.tables["main"], table)
        else:
            again, record = read_result_table(path)
            assert record == RECORD
            assert_same(again, table, nan_is_masked=kind == "fits")

    check()


def some_table():
    table = Table({"name": ["NGC 1", ""], "v": [1.0, np.nan] * (u.km / u.s), "vector": [[1.0, 2.0], [3.0, 4.0]]})
    table["v"].description = "speed"
    table["n"] = MaskedColumn([1, 2], mask=[True, False])
    table.meta["note"] = "hello"
    return table


def test_hdf5_holds_all_of_it(tmp_path):
    drawn = {
        "draws": np.arange(24.0).reshape(2, 3, 4),
        "names": np.array(["a", "βγ"]),
        "flags": np.array([True, False]),
        "scalar": np.array(3),
        "complex/one": np.array([1 + 2j]),
        "none": np.zeros((0, 3)),
    }
    lost = rejected_table([Rejected("x", "row 3", "expected a number, found 'é'")])
    result = Result("darkexp", {"rejected": lost, "fits/all": some_table()}, drawn, RECORD)
    again = Result.read(result.write(tmp_path / "a.h5"))
    assert list(again.tables) == ["fits/all", "rejected"]
    assert_same(again.tables["fits/all"], some_table())
    assert again.tables["fits/all"].meta == {"note": "hello"}
    assert [tuple(row) for row in again.tables["rejected"]] == [("x", "row 3", "expected a number, found 'é'")]
    assert set(again.arrays) == set(drawn)
    for name, array in drawn.items():
        np.testing.assert_array_equal(again.arrays[name], array)
        assert again.arrays[name].shape == array.shape
    with h5py.File(tmp_path / "a.h5") as file:
        dataset = file["tables/fits∕all/v"]
        assert dataset.chunks is not None
        assert (dataset.attrs["unit"], dataset.attrs["description"]) == ("km / s", "speed")


@pytest.mark.parametrize("kind", ["ecsv", "fits", "parquet"])
def test_vectors_and_notes_survive(tmp_path, kind):
    table, _ = read_result_table(Result("k", {"t": some_table()}).write(tmp_path / f"a.{kind}"))
    assert_same(table, some_table())
    assert table.meta == {"note": "hello"}


def test_rejected_is_always_there_and_last():
    result = Result("k", {"t": some_table()})
    assert list(result.tables) == ["t", "rejected"]
    assert result.tables["rejected"].colnames == ["name", "where", "reason"]
    assert len(result.tables["rejected"]) == 0


def test_other_programs_read_the_files(tmp_path):
    table = some_table()
    table.remove_column("vector")
    result = Result("k", {"t": table}, provenance=RECORD)
    for kind in ("fits", "parquet", "csv", "ecsv", "mrt"):
        result.write(tmp_path / f"a.{kind}")
    with fits.open(tmp_path / "a.fits") as file:
        assert file[1].columns["v"].unit == "km s-1"
        assert file[1].header["TCOMM2"] == "speed"
        assert json.loads(file[1].header["ASTROTK"])["provenance"]["seed"] == 3
    cells = parquet.read_table(tmp_path / "a.parquet")
    assert cells["n"].to_pylist() == [None, 2]
    assert json.loads(cells.schema.metadata[b"astrotk"])["kind"] == "k"
    assert cells.schema.field("v").metadata == {b"unit": b"km / s", b"description": b"speed"}
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert [line[0] for line in lines].count("#") == 1
    assert next(csv.reader(lines[1:])) == ["name", "v", "n"]
    ecsv = Table.read(tmp_path / "a.ecsv", format="ascii.ecsv")
    assert (ecsv["v"].unit, ecsv["n"].mask.tolist()) == (u.km / u.s, [True, False])
    mrt = Table.read(tmp_path / "a.mrt", format="ascii.mrt")
    assert mrt["v"].unit == u.km / u.s
    assert mrt["v"].description.endswith("speed")
    assert "astrotk x" in (tmp_path / "a.mrt").read_text()


def test_the_table_that_is_asked_for(tmp_path):
    result = Result("k", {"one": Table({"a": [1]}), "two": QTable({"b": [2.0] * u.kpc})})
    assert read_result_table(result.write(tmp_path / "a.fits"))[0].colnames == ["a"]
    two, _ = read_result_table(result.write(tmp_path / "b.fits", table="two"))
    assert two["b"].unit == u.kpc
    assert len(read_result_table(result.write(tmp_path / "c.csv", table="rejected"))[0]) == 0
    assert read_result_table(result.write(tmp_path / "d", format="ecsv"), format="ecsv")[0]["a"] == [1]
    with pytest.raises(ParameterError, match=r"\['one', 'two', 'rejected'\], found 'three'"):
        result.write(tmp_path / "e.fits", table="three")


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("a.fits", Table({"x": ["α Cen"]}), "column 'x': FITS holds ASCII text only"),
        ("a.csv", Table({"x": [[1, 2]]}), "CSV holds one value a cell"),
        ("a.h5", Table({"x": [None, "a"]}), "column 'x': expected numbers, booleans or text, found object"),
        (
            "a.ecsv",
            Table({"x": Time(["2000-01-01"])}),
            "column 'x': expected numbers, booleans or text, found Time",
        ),
        ("a.fits", Table({"x": [1]}, meta={"y": object()}), "expected JSON values"),
        ("a.vot", Table({"x": [1]}), "a format among"),
        ("a.mrt", Table({"x": [[1, 2]]}), "cannot be written as mrt"),
        ("a.txt", Table({"x": [1]}), "a format or an extension among"),
    ],
)
def test_what_a_format_cannot_hold_leaves_no_file(tmp_path, name, table, words):
    with pytest.raises(ParameterError, match=words) as seen:
        Result("k", {"t": table}).write(tmp_path / name)
    assert "\n" not in str(seen.value)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_results(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = [1.0]
    with pytest.raises(CatalogFormatError, match="layout 1, found layout none"):
        Result.read(tmp_path / "a.h5")
    for name in ("a.fits", "a.ecsv", "a.csv", "a.parquet"):
        Table({"x": [1]}).write(tmp_path / name)
        with pytest.raises(CatalogFormatError, match="no record of it"):
            read_result_table(tmp_path / name)
    with pytest.raises(CatalogFileError):
        Result.read(tmp_path / "none.h5")


def test_a_result_that_points_elsewhere_is_refused(tmp_path):
    Result("k", {"t": some_table()}).write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1.0]
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["arrays"]
        file["arrays"] = h5py.ExternalLink("other.h5", "/")
    with pytest.raises(CatalogFileError, match="another file"):
        Result.read(tmp_path / "a.h5")


@pytest.mark.parametrize("count", [100, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["h5", *ONE_TABLE])
def test_mutants_raise_only_our_family(tmp_path, kind, count):
    table = some_table()
    table.remove_column("vector")
    content = Result("k", {"t": table}, {"x": np.arange(9.0)}).write(tmp_path / f"a.{kind}").read_bytes()
    telling = np.flatnonzero(~np.isin(np.frombuffer(content, np.uint8), [0, 32]))
    path, random, refused = tmp_path / f"mutant.{kind}", np.random.default_rng(4), 0
    for _ in range(count):
        mutant = bytearray(content)
        for at in random.choice(telling, random.integers(1, 6)):
            mutant[at] = random.integers(256)
        path.write_bytes(mutant)
        refused += 1
        with contextlib.suppress(AstrotkError):
            Result.read(path) if kind == "h5" else read_result_table(path)
            refused -= 1
    assert refused > 10


def test_importing_it_loads_neither_h5py_nor_arrow():
    script = "import sys, catalogs.result; sys.exit(bool({'h5py', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
