"""Tables of users: every format gives the same rows, each lost row its reason, all errors one family."""

from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import sys

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError, ParameterError, UnitError
from catalogs.result import Result
from catalogs.tables import Column, chunks, read_table

NAME = Column("name", text=True)
SPEED = Column("speed", "km/s", aliases=("v", "Vrot"), positive=True, sentinels=(-999.0, 1e20))
ERROR = Column("error", "km/s", aliases=("e_v",), required=False, finite=False)
SPECS = (NAME, SPEED, ERROR)
FORMATS = ("csv", "ecsv", "fits", "h5", "parquet", "vot", "mrt")


def galaxies():
    table = Table({"Name": ["007", "NGC 2", "x", "y"], "VROT": [1.0, 2.0, 3.0, 4.0]})
    table["e_v"] = MaskedColumn([0.1, 0.2, 0.3, 0.4], mask=[False, True, False, False])
    table["n"] = [1, 2, 3, 4]
    return table


def write(table, path):
    """Write with other people's programs."""
    kind = path.suffix[1:]
    if kind == "h5":
        with h5py.File(path, "w") as file:
            for name in table.colnames:
                values = np.ma.filled(table[name], np.nan) if table[name].dtype.kind == "f" else table[name]
                file[name] = np.char.encode(values) if values.dtype.kind == "U" else np.asarray(values)
                if table[name].unit is not None:
                    file[name].attrs["unit"] = str(table[name].unit)
    elif kind == "parquet":
        table = table.copy()
        table["e_v"] = table["e_v"].filled(np.nan) if "e_v" in table.colnames else 0.0
        table.write(path, format="parquet")
    else:
        names = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "vot": "votable", "mrt": "ascii.mrt"}
        table.write(path, format=names.get(kind, kind))
    return path


def text(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_table(tmp_path, kind):
    path = write(galaxies(), tmp_path / f"a.{kind}")
    data = read_table(path, SPECS)
    assert data.columns["name"].tolist() == ["007", "NGC 2", "x", "y"]
    assert data.columns["speed"].tolist() == [1.0, 2.0, 3.0, 4.0]
    np.testing.assert_array_equal(data.columns["error"], [0.1, np.nan, 0.3, 0.4])
    assert data.extra.colnames == ["n"]
    assert list(data.extra["n"]) == [1, 2, 3, 4]
    assert data.row.tolist() == [0, 1, 2, 3]
    assert len(data) == 4
    assert data.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert data.source.rejected == ()


@pytest.mark.parametrize("kind", ["ecsv", "fits", "h5", "parquet", "vot", "mrt"])
def test_units_in_the_file_are_honoured(tmp_path, kind):
    table = galaxies()
    table["VROT"].unit = "m/s"
    table["n"].unit = "kg"
    path = write(table, tmp_path / f"a.{kind}")
    np.testing.assert_allclose(read_table(path, SPECS).columns["speed"], [0.001, 0.002, 0.003, 0.004])
    assert read_table(path, SPECS).extra["n"].unit == u.kg
    with pytest.raises(UnitError, match=rf"a.{kind}, column 'n': .*'km/s'.*'kg'"):
        read_table(path, SPECS, column_map={"error": "n"})


def test_our_own_result_is_a_table_too(tmp_path):
    table = galaxies()
    table["VROT"].unit = "m/s"
    path = Result("kind", {"other": table[:1], "main": table}).write(tmp_path / "r.h5")
    assert len(read_table(path, SPECS)) == 1
    data = read_table(path, SPECS, table="main")
    np.testing.assert_allclose(data.columns["speed"], [0.001, 0.002, 0.003, 0.004])
    np.testing.assert_array_equal(data.columns["error"], [0.1, np.nan, 0.3, 0.4])


def test_a_named_extension_of_fits(tmp_path):
    one, two = (fits.table_to_hdu(galaxies()[at : at + 2]) for at in (0, 2))
    one.name, two.name = "ONE", "TWO"
    fits.HDUList([fits.PrimaryHDU(np.zeros((3, 3))), one, two]).writeto(tmp_path / "a.fits")
    assert read_table(tmp_path / "a.fits", SPECS).columns["name"].tolist() == ["007", "NGC 2"]
    assert read_table(tmp_path / "a.fits", SPECS, table="TWO").columns["name"].tolist() == ["x", "y"]
    with pytest.raises(CatalogFormatError, match=r"'THREE', found only \['PRIMARY', 'ONE', 'TWO'\]"):
        read_table(tmp_path / "a.fits", SPECS, table="THREE")


def test_rows_are_rejected_with_their_reasons(tmp_path):
    rows = [
        "a,1,0",
        "b,-999,0",
        "c,-1,0",
        "d,,0",
        "e,fast,0",
        "f,nan,0",
        ",2,0",
        "h,1e20,0",
        "i,2",
        "j,3,bad",
    ]
    path = text(tmp_path, "name,v,e_v\n" + "\n".join(rows) + "\nk,+4,\n")
    data = read_table(path, SPECS)
    assert data.columns["name"].tolist() == ["a", "k"]
    assert data.columns["speed"].tolist() == [1.0, 4.0]
    assert data.row.tolist() == [0, 10]
    told = {each.where: (each.name, each.reason) for each in data.source.rejected}
    assert told == {
        "row 2, column 'v'": ("b", "expected a positive number, found '-999'"),
        "row 3, column 'v'": ("c", "expected a positive number, found '-1'"),
        "row 4, column 'v'": ("d", "expected a positive number, found nothing"),
        "row 5, column 'v'": ("e", "expected a number, found 'fast'"),
        "row 6, column 'v'": ("f", "expected a positive number, found 'nan'"),
        "row 7, column 'name'": (str(path), "expected a text, found nothing"),
        "row 8, column 'v'": ("h", "expected a positive number, found '1e20'"),
        "row 9": (str(path), "expected 3 cells, found 2"),
        "row 10, column 'e_v'": ("j", "expected a number, found 'bad'"),
    }


def test_sentinels_in_single_precision_and_before_units(tmp_path):
    table = Table({"v": np.array([5.0, 1e20, -999.0], np.float32) * (u.m / u.s)})
    table.write(tmp_path / "a.fits")
    data = read_table(tmp_path / "a.fits", [SPEED])
    np.testing.assert_allclose(data.columns["speed"], [0.005])
    assert len(data.source.rejected) == 2


def test_nan_in_a_column_that_nobody_asked_for_is_fine(tmp_path):
    path = text(tmp_path, "name,v,junk\na,1,nan\nb,2,\n")
    assert len(read_table(path, SPECS)) == 2


def test_names_are_found_by_map_name_and_alias(tmp_path):
    path = text(tmp_path, "NAME,Speed,v,other\na,1,2,3\n")
    assert read_table(path, SPECS).columns["speed"] == [1.0]
    assert read_table(path, SPECS, column_map={"speed": "other"}).columns["speed"] == [3.0]
    with pytest.raises(CatalogFormatError, match=r"a column 'gone', found only NAME, Speed, v, other; .*column_map"):
        read_table(path, SPECS, column_map={"error": "gone"})
    with pytest.raises(ParameterError, match="found 'colour'"):
        read_table(path, SPECS, column_map={"colour": "v"})
    with pytest.raises(CatalogFormatError, match="'mass' or 'M', found only"):
        read_table(path, [Column("mass", aliases=("M",))])
    twice = text(tmp_path, "V,v \n1,2\n", "b.csv")
    assert read_table(twice, [Column("v")]).columns["v"] == [2.0]
    with pytest.raises(CatalogFormatError, match="one column 'VROT'"):
        read_table(text(tmp_path, "vrot,Vrot\n1,2\n", "c.csv"), [Column("x", aliases=("VROT",))])


def test_identifiers_keep_their_digits(tmp_path):
    path = text(tmp_path, "id,v\n0012,1\n657961231375051264,2\n")
    assert read_table(path, [Column("ID", text=True)]).columns["ID"].tolist() == [
        "0012",
        "657961231375051264",
    ]
    assert read_table(path, [Column("v")]).extra["id"].dtype == np.int64


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "expected a line of names"),
        ("a.csv", b"name,v\n", "expected rows, found none"),
        ("a.csv", b"\x7fELF\0\0\1\2\n", "found binary data"),
        ("a.csv", b"name,v\n\xff\xfe,1\n", "UTF-8"),
        ("a.csv", b"name,name\n1,2\n", "each once"),
        ("a.csv", b"name,v\na,-1\nb,-2\n", "at least one usable row, found 2 rejected; .*row 1.*found -1"),
        ("a.fits", b"name,v\na,1\n", "starts with 'SIMPLE'"),
        ("a.h5", b"name,v\na,1\n", "no HDF5 signature"),
        ("a.parquet", b"name,v\na,1\n", "Parquet"),
        ("a.ecsv", b"name,v\na,1\n", "%ECSV"),
        ("a.vot", b"name,v\na,1\n", "VOTable"),
        ("a.mrt", b"name,v\na,1\n", "machine-readable"),
        ("a.dat", b"name,v\na,1\n", "a format or an extension among csv"),
    ],
)
def test_wrong_files_are_one_line(tmp_path, name, content, words):
    with pytest.raises(AstrotkError, match=words) as seen:
        read_table(text(tmp_path, content, name), SPECS)
    assert str(seen.value).startswith(str(tmp_path / name))
    assert "\n" not in str(seen.value)


def test_missing_and_large_files(tmp_path):
    with pytest.raises(CatalogFileError, match="no such file"):
        read_table(tmp_path / "no.csv", SPECS)
    with pytest.raises(CatalogFileError, match="limit of 5"):
        read_table(text(tmp_path, "name,v\na,1\n"), SPECS, max_bytes=5)


def test_small_files_that_claim_much(tmp_path):
    write(galaxies(), tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    for card in ("NAXIS2  =           9000000000000", "NAXIS2  =                   -1"):
        at = content.index(b"NAXIS2")
        changed = content[:at] + card.encode().ljust(30) + content[at + max(30, len(card)) :]
        with pytest.raises(AstrotkError):
            read_table(text(tmp_path, changed, "b.fits"), SPECS)
    long = text(tmp_path, "name,v\n" + "a,1\n" * 2000 + "b" * 900_000 + ",1\n", "c.csv")
    with pytest.raises(CatalogFileError, match="column 'name' needs"):
        read_table(long, SPECS)
    votable = io.BytesIO()
    galaxies().write(votable, format="votable")
    claim = votable.getvalue().replace(b"<TABLE", b'<TABLE nrows="9000000000000"', 1)
    with pytest.raises(CatalogFormatError, match="sizes that fit the file"):
        read_table(text(tmp_path, claim, "d.vot"), SPECS)
    table = Table({"name": np.full(200_000, "x"), "v": np.ones(200_000)})
    table.write(tmp_path / "e.parquet")
    with pytest.raises(CatalogFileError, match="limit"):
        read_table(tmp_path / "e.parquet", SPECS, max_bytes=1_000_000)


@pytest.mark.parametrize("href", ['STREAM href="file:///etc/hostname"', "STREAM\n hr&#101;f='file:///x'"])
def test_votables_that_name_other_files_are_refused(tmp_path, href):
    content = f"<VOTABLE><RESOURCE><TABLE><DATA><BINARY><{href}/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>"
    with pytest.raises(CatalogFileError, match="other files"):
        read_table(text(tmp_path, content, "a.vot"), SPECS)
    with pytest.raises(CatalogFileError, match="other files"):
        read_table(text(tmp_path, '<!DOCTYPE x [<!ENTITY y "z">]><VOTABLE/>', "b.vot"), SPECS)


@pytest.mark.timeout(30)
def test_units_that_would_take_minutes_are_refused(tmp_path):
    bomb = "10**99999999 km/s"
    write(galaxies(), tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", mode="update") as file:
        file[1].header["TUNIT2"] = bomb
    write(galaxies(), tmp_path / "a.ecsv")
    ecsv = (tmp_path / "a.ecsv").read_text().replace("name: VROT,", f"name: VROT, unit: {bomb},")
    (tmp_path / "a.ecsv").write_text(ecsv)
    for name in ("a.fits", "a.ecsv"):
        with pytest.raises(UnitError):
            read_table(tmp_path / name, SPECS)
        assert len(read_table(tmp_path / name, [NAME])) == 4


def test_ecsv_of_strangers_builds_no_objects(tmp_path):
    head = "# %ECSV 1.0\n# ---\n# datatype: [{name: v, datatype: float64}]\n"
    path = text(tmp_path, head + "# meta: !astropy.units.Unit {unit: m}\nv\n1.5\n", "a.ecsv")
    assert read_table(path, [Column("v")]).columns["v"] == [1.5]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("rows", [1, 3, 4, 100])
def test_chunks_are_the_table_cut(tmp_path, kind, rows):
    path = write(galaxies(), tmp_path / f"a.{kind}")
    whole, parts = read_table(path, SPECS), list(chunks(path, SPECS, rows=rows))
    if kind not in ("vot", "mrt"):
        assert max(map(len, parts)) == min(rows, 4)
    for name in whole.columns:
        joined = np.concatenate([part.columns[name] for part in parts])
        np.testing.assert_array_equal(joined, whole.columns[name])
    assert np.concatenate([part.row for part in parts]).tolist() == [0, 1, 2, 3]
    assert [n for part in parts for n in part.extra["n"]] == [1, 2, 3, 4]
    assert {part.source.sha256 for part in parts} == {whole.source.sha256}


@settings(max_examples=30)
@given(
    lines=st.lists(st.sampled_from(["a,1", "b,-1", "c", "d,2,3", "", '"e\nf",4', "g,h"]), min_size=1, max_size=40),
    rows=st.integers(1, 12),
)
def test_every_line_of_csv_is_either_kept_or_rejected(tmp_path_factory, lines, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text("name,v\n" + "\n".join(lines) + "\n")
    full = [line for line in lines if line]
    good = [at for at, line in enumerate(full) if line in ("a,1", '"e\nf",4')]
    parts = list(chunks(path, [NAME, SPEED], rows=rows))
    assert [int(at) for part in parts for at in part.row] == good
    rejected = [each.where.split(",")[0] for part in parts for each in part.source.rejected]
    assert sorted(rejected) == sorted(f"row {at + 1}" for at in range(len(full)) if at not in good)


def test_rows_of_a_chunk_must_be_positive(tmp_path):
    with pytest.raises(ParameterError, match="rows"):
        next(chunks(tmp_path / "a.csv", SPECS, rows=0))


@pytest.mark.parametrize("kind", ["csv", "fits", "ecsv", "parquet", "vot", "mrt", "h5"])
def test_mutants_raise_only_our_family(tmp_path, kind):
    table = galaxies()
    table["VROT"].unit = "m/s"
    content = write(table, tmp_path / f"a.{kind}").read_bytes()
    # Padding and page headers are most of a small file: the bytes that matter are those that are not blank.
    telling = np.flatnonzero(~np.isin(np.frombuffer(content, np.uint8), [0, 32]))
    path, random, refused = tmp_path / f"mutant.{kind}", np.random.default_rng(2), 0
    for _ in range({"csv": 300, "fits": 300}.get(kind, 100)):
        mutant = bytearray(content)
        for at in random.choice(telling, random.integers(1, 6)):
            mutant[at] = random.integers(256)
        cut = random.integers(len(mutant)) if random.random() < 0.2 else len(mutant)
        path.write_bytes(mutant[:cut])
        refused += 1
        with contextlib.suppress(AstrotkError):
            read_table(path, SPECS, max_bytes=2**24)
            refused -= 1
    assert refused > 10


BIG = """
import resource, sys
import numpy as np
from catalogs.tables import Column, chunks

specs = [Column(name) for name in ("a", "b", "c", "d", "e", "f", "g", "h")]
next(chunks(sys.argv[2], specs, rows=10))  # the imports
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sums, count = np.zeros(8), 0
for part in chunks(sys.argv[1], specs, rows=100_000):
    sums += [part.columns[spec.name].sum() for spec in specs]
    count += len(part)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, count, *map(int, sums))
"""


@pytest.mark.slow
def test_ten_million_rows_in_a_tenth_of_their_memory(tmp_path):
    """The table takes 640 MB in memory; reading it through chunks adds less than 200 MB to the process."""
    import pyarrow as pa
    from pyarrow import parquet

    n, block, names = 10_000_000, 1_000_000, "abcdefgh"
    schema = pa.schema([(name, pa.float64()) for name in names])
    with parquet.ParquetWriter(tmp_path / "big.parquet", schema) as writer:
        for low in range(0, n, block):
            values = np.arange(low, low + block, dtype=np.float64)
            cells = [pa.array(values % (7 + at)) for at in range(len(names))]
            writer.write_table(pa.Table.from_arrays(cells, schema=schema))
    parquet.write_table(pa.table({name: [0.0] for name in names}), tmp_path / "small.parquet")
    command = [sys.executable, "-c", BIG, str(tmp_path / "big.parquet"), str(tmp_path / "small.parquet")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    grown, count, *sums = map(int, done.stdout.split())
    assert count == n
    for at, total in enumerate(sums):
        turns, rest = divmod(n, 7 + at)
        assert total == turns * sum(range(7 + at)) + sum(range(rest))
    assert grown < 200_000, f"{grown} kB"


def test_an_external_link_in_an_optional_column_is_refused_too(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["b"] = np.arange(3.0)
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["a"] = np.arange(3.0)
        file["b"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "b")
    with pytest.raises(CatalogFileError, match="link to another file"):
        read_table(tmp_path / "table.h5", [Column("a"), Column("b", required=False)])
