"""SPARC's files and users' tables: every trap of the formats, and what is told about what was left out."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogs import _words
from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError, ParameterError, UnitError
from catalogs.sparc import POINT, find_galaxy_table, read_galaxy_table, read_rotation_curves

HEAD = "# Distance = 10.0 Mpc\n# Rad\tVobs\terrV\n"
ROW = "1.5\t50.0\t2.0\t-7.0\t30.0\t5.0\t100.0\t1.0"
ROWS = f"{ROW}\n2.5\t60.0\t3.0\t8.0\t33.0\t4.0\t90.0\t0.5\n"
MRT_HEAD = "Title: SPARC\n" + "-" * 80 + "\n   1-  3 A11 --- Galaxy wrong bytes\n" + "-" * 80 + "\n"
#: name T D e_D f_D Inc e_Inc L e_L Reff SBeff Rdisk SBdisk MHI RHI Vflat e_Vflat Q Ref
GALAXY = "{} 10 {} {} 1 {} {} 5.5 0.1 {} 10.0 1.0 9.0 0.2 4.0 47.0 1.0 {} Be91,CB89\n"


def galaxy_row(name: str, d="10.5", e_d="0.5", inc="65.0", e_inc="3.0", r_eff="1.25", q="2") -> str:
    return "   " + GALAXY.format(name, d, e_d, inc, e_inc, r_eff, q)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def points_table(galaxies: tuple[str, ...] = ("A",), n: int = 3) -> Table:
    """Points of galaxies, one after the other, without units."""
    r = np.arange(1.0, n * len(galaxies) + 1)
    return Table(
        {
            "galaxy": np.repeat(galaxies, n),
            "distance": np.full(r.size, 7.0),
            "r": r,
            "v_obs": 50.0 + r,
            "e_v_obs": 2.0 + 0.1 * r,
            "v_gas": -3.0 + r,
            "v_disk": 20.0 + r,
            "v_bulge": 4.0 * r,
        }
    )


def reasons(curves) -> list[str]:
    return [item.reason for item in curves.rejected]


# --- the real files ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sparc(data_dir: Path) -> Path:
    folder = data_dir / "darkexp" / "sparc"
    if not folder.is_dir():
        pytest.skip(f"no SPARC files in {folder}")
    return folder


@pytest.fixture(scope="module")
def rotmod(sparc: Path):
    return read_rotation_curves(sparc / "Rotmod_LTG")


def test_all_of_sparc(rotmod) -> None:
    assert (len(rotmod), rotmod.r.size, rotmod.rejected) == (175, 3391, ())
    assert rotmod.has_bulge.sum() == 32
    np.testing.assert_array_equal(rotmod.has_bulge, rotmod.galaxies.bulge_luminosity > 0)
    assert np.sum(rotmod.v_gas < 0) == 361
    np.testing.assert_array_equal(rotmod.distance, rotmod.galaxies.distance)
    assert {Path(source.path).name for source in rotmod.galaxies.source} == {
        "SPARC_Lelli2016c.mrt",
        "Bulges.mrt",
    }


def test_both_forms_of_sparc_hold_the_same_curves(sparc: Path, rotmod) -> None:
    models = read_rotation_curves(sparc)
    assert [Path(source.path).name for source in models.source] == ["MassModels_Lelli2016c.mrt"]
    place = models.name.tolist().index
    models = models.select([place(name) for name in rotmod.name.tolist()])
    for key in (*POINT, "distance", "first"):
        np.testing.assert_array_equal(getattr(models, key), getattr(rotmod, key), err_msg=key)


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # copied by eye from SPARC_Lelli2016c.mrt and Bulges.mrt
        ("CamB", (3.36, 0.26, 65.0, 5.0, 0.075, 0.0, 1.21, 2)),
        ("DDO154", (4.04, 0.20, 64.0, 3.0, 0.053, 0.0, 0.65, 2)),
        ("NGC0891", (9.91, 0.50, 90.0, 1.0, 138.340, 18.8773, 3.68, 1)),
    ],
)
def test_galaxy_table_of_sparc(sparc: Path, name: str, expected: tuple[float, ...]) -> None:
    one = read_galaxy_table(sparc / "SPARC_Lelli2016c.mrt").of([name])
    found = (
        *(one.distance, one.e_distance, one.inclination, one.e_inclination),
        *(one.luminosity, one.bulge_luminosity, one.r_eff, one.quality),
    )
    assert tuple(float(value[0]) for value in found) == expected


def test_the_galaxy_table_is_sought_beside_a_file_and_above(sparc: Path) -> None:
    curves = read_rotation_curves(sparc / "Rotmod_LTG" / "NGC3198_rotmod.dat")
    assert curves.name.tolist() == ["NGC3198"]
    assert curves.galaxies.e_inclination.tolist() == [3.0]
    assert curves.v_last[0] == curves.v_obs[-1]


# --- one galaxy a file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        HEAD + ROWS,
        (HEAD + ROWS).replace("\n", "\r\n"),
        "\ufeff" + HEAD + ROWS,
        HEAD + "\n   \n" + ROWS.replace("\t", "   ") + "\n\n# a comment\n",
        "# made by hand\n#distance=10 mpc, by eye\n  " + ROWS.rstrip(),
        HEAD + ROWS.replace("100.0", "nan").replace("0.5\n", "-\n"),
    ],
    ids=["plain", "CRLF", "BOM", "blank lines and blanks", "spelling", "ignored columns"],
)
def test_spellings_of_one_curve(write, text: str) -> None:
    curves = read_rotation_curves(write("N1_rotmod.dat", text))
    assert (curves.name.tolist(), curves.distance.tolist()) == (["N1"], [10.0])
    assert np.stack([getattr(curves, key) for key in POINT]).T.tolist() == [
        [1.5, 50.0, 2.0, -7.0, 30.0, 5.0],
        [2.5, 60.0, 3.0, 8.0, 33.0, 4.0],
    ]
    assert (curves.n_points.tolist(), curves.has_bulge.tolist(), curves.rejected) == ([2], [True], ())
    assert curves.v_last.tolist() == [60.0]
    assert len(curves.source[0].sha256) == 64


@pytest.mark.parametrize(
    ("column", "word", "expected"),
    [
        (0, "0", "a positive number in column r, found '0'"),
        (0, "-1.5", "a positive number in column r"),
        (0, "inf", "a positive number in column r, found 'inf'"),
        (1, "nan", "a finite number in column v_obs, found 'nan'"),
        (1, "fast", "a finite number in column v_obs, found 'fast'"),
        (1, "5_0", "a finite number in column v_obs, found '5_0'"),
        (2, "0.0", "a positive number in column e_v_obs"),
        (2, "-2.0", "a positive number in column e_v_obs, found '-2.0'"),
        (2, "nan", "a positive number in column e_v_obs"),
        (3, "\x00", r"a finite number in column v_gas, found '\x00'"),
        (5, "-inf", "a finite number in column v_bulge"),
        (7, "1.0 9", "8 columns (r v_obs e_v_obs v_gas v_disk v_bulge SBdisk SBbul), found 9"),
        (7, "", "8 columns (r v_obs e_v_obs v_gas v_disk v_bulge SBdisk SBbul), found 7"),
    ],
)
def test_a_bad_point_is_rejected_and_the_others_stay(write, column: int, word: str, expected: str) -> None:
    words = ROW.split("\t")
    words[column] = word
    path = write("N1_rotmod.dat", HEAD + ROWS + "\t".join(words) + "\n" + ROW + "\n")
    curves = read_rotation_curves(path)
    assert curves.n_points.tolist() == [3]
    (item,) = curves.rejected
    assert (item.name, item.where) == ("N1", f"{path}, line 5")
    assert item.reason.startswith(f"expected {expected}")

    alone = write("N2_rotmod.dat", HEAD + "\t".join(words))
    with pytest.raises(CatalogFormatError) as caught:
        read_rotation_curves(alone)
    message = str(caught.value)
    assert message.startswith(f"{alone}, line 3: expected at least one usable galaxy, found none: expected ")
    assert "\n" not in message
    assert "\x00" not in message


@pytest.mark.parametrize(
    "header",
    [
        "",
        "# Distance = 0 Mpc\n",
        "# Distance = -4 Mpc\n",
        "# Distance = far Mpc\n",
        "# Distance = inf Mpc\n",
        "# Distance = nan Mpc\n",
        "# Distance = 10000 kpc\n",
        "# Distance = 10 Mpc\n# Distance = 11 Mpc\n",
        "Distance = 10 Mpc\n",
    ],
)
def test_a_header_without_one_distance_is_refused_even_where_a_table_knows_it(write, header: str) -> None:
    path = write("N1_rotmod.dat", header + ROWS)
    write("SPARC_Lelli2016c.mrt", MRT_HEAD + galaxy_row("N1"))
    with pytest.raises(CatalogFormatError, match=r"N1_rotmod\.dat, the header: expected one line '# Distance = X Mpc'"):
        read_rotation_curves(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "one line '# Distance = X Mpc' with X above 0, found none"),
        (HEAD.encode(), "at least one usable galaxy, found none: expected at least one usable point"),
        (b"# Distance = 10 Mpc\n\x80\x81\x82", "UTF-8 text, found UnicodeDecodeError"),
        (bytes(range(256)) * 40, "UTF-8 text"),
    ],
    ids=["empty", "comments", "a stray byte", "binary"],
)
def test_files_that_are_no_curve(write, content: bytes, expected: str) -> None:
    path = write("N1_rotmod.dat", content)
    with pytest.raises(CatalogFormatError) as caught:
        read_rotation_curves(path)
    assert str(caught.value).startswith(str(path))
    assert f"expected {expected}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_places_without_a_curve(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, expected in {
        tmp_path / "nowhere": "there is no such file or folder",
        tmp_path: "expected files NAME_rotmod.dat or MassModels_Lelli2016c.mrt, found none",
        write("notes.txt", ROWS): "extension among csv",
    }.items():
        with pytest.raises(AstrotkError) as caught:
            read_rotation_curves(path)
        assert str(path) in str(caught.value)
        assert expected in str(caught.value)
    (tmp_path / "x" / "N9_rotmod.dat").mkdir(parents=True)
    with pytest.raises(CatalogFormatError, match="expected files NAME_rotmod"):
        read_rotation_curves(tmp_path / "x")
    with pytest.raises(CatalogFormatError, match="at least one usable galaxy, found no path"):
        read_rotation_curves([])
    monkeypatch.setattr(_words, "MAX_BYTES", 50)
    with pytest.raises(CatalogFileError, match="above the limit of 50"):
        read_rotation_curves(write("N1_rotmod.dat", HEAD + ROWS))


def test_bad_files_among_good_ones_are_rejected_with_the_reason(write, tmp_path: Path) -> None:
    write("N1_rotmod.dat", HEAD + ROWS)
    write("N2_rotmod.dat", "\x00\x01")
    write("N3_rotmod.dat", HEAD)
    (tmp_path / "N4_rotmod.dat").mkdir()
    again = write("again/N1_rotmod.dat", HEAD + ROW)
    wrong = write("wrong.ecsv", "galaxy,r\nA,1\n")
    curves = read_rotation_curves([tmp_path, again, wrong, tmp_path / "gone", write("last/N5.dat", HEAD + ROW)])
    assert curves.name.tolist() == ["N1", "N5"]
    assert curves.n_points.tolist() == [2, 1]
    told = {item.where: item.reason for item in curves.rejected}
    assert told[f"{tmp_path / 'N2_rotmod.dat'}"].startswith("the header: expected one line '# Distance")
    assert told[f"{tmp_path / 'N3_rotmod.dat'}"] == "expected at least one usable point, found none"
    assert told[f"{tmp_path / 'N4_rotmod.dat'}"].startswith("expected files")
    assert told[f"{again}"] == f"expected each galaxy once, found it before in {tmp_path / 'N1_rotmod.dat'}"
    assert told[f"{wrong}"] == "line 1: expected a first line '# %ECSV', found another"
    assert told[f"{tmp_path / 'gone'}"] == "there is no such file or folder"


# --- a user's table ---------------------------------------------------------------------------------------


def save(table: Table, path: Path) -> Path:
    if path.suffix in (".h5", ".hdf5"):
        with h5py.File(path, "w") as file:
            for name in table.colnames:
                column = table[name]
                data = np.char.encode(column, "utf-8") if column.dtype.kind == "U" else np.asarray(column)
                file[name] = data
                if column.unit is not None:
                    file[name].attrs["unit"] = column.unit.to_string()
    elif path.suffix == ".parquet":
        from catalogs.result import Result

        rejected = Table(names=["name", "where", "reason"], dtype=[str, str, str])
        Result("points", {"points": table, "rejected": rejected}).write(path, table="points")
    else:
        table.write(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".fits", ".parquet", ".h5", ".vot"])
def test_formats_of_a_users_table(tmp_path: Path, suffix: str) -> None:
    table = points_table(("B", "A"))
    table = table[[0, 3, 1, 4, 2, 5]]  # interleaved
    if suffix != ".csv":
        table["r"] = (table["r"] * 1e3) * u.pc
        table["v_obs"] = (table["v_obs"] * 1e3) * (u.m / u.s)
        table["distance"].unit = u.Mpc
    if suffix == ".vot":
        table.write(tmp_path / "points.vot", format="votable")
    path = tmp_path / "points.vot" if suffix == ".vot" else save(table, tmp_path / f"points{suffix}")
    curves = read_rotation_curves(path)
    assert (curves.name.tolist(), curves.first.tolist()) == (["B", "A"], [0, 3, 6])
    expected = points_table(("B", "A"))
    for key in POINT:
        np.testing.assert_allclose(getattr(curves, key), expected[key], rtol=1e-14, err_msg=key)
    assert curves.distance.tolist() == [7.0, 7.0]
    assert curves.galaxies.distance.tolist() == [7.0, 7.0]
    assert np.all(np.isnan(curves.galaxies.e_distance))
    assert curves.rejected == ()


def test_names_of_a_users_table(tmp_path: Path) -> None:
    table = points_table()
    table.remove_columns(["galaxy", "v_bulge"])
    table["note"] = ["", "x", ""]
    table.rename_columns(["r", "v_obs", "e_v_obs", "distance"], ["how far", "Vobs", "ERRV", "dist"])
    curves = read_rotation_curves(save(table, tmp_path / "M33.csv"), column_map={"r": "how far"})
    assert (curves.name.tolist(), curves.r.tolist()) == (["M33"], [1.0, 2.0, 3.0])
    assert (curves.has_bulge.tolist(), curves.v_bulge.tolist()) == ([False], [0.0] * 3)
    with pytest.raises(CatalogFormatError, match=r"M33\.csv, the header: expected a column 'r'"):
        read_rotation_curves(tmp_path / "M33.csv")
    with pytest.raises(ParameterError, match="expected names among"):
        read_rotation_curves(tmp_path / "M33.csv", column_map={"radius": "how far"})


@pytest.mark.parametrize("column", ["r", "v_obs", "e_v_obs", "v_gas", "v_disk"])
def test_a_missing_column_and_a_wrong_unit(tmp_path: Path, column: str) -> None:
    table = points_table()
    table[column].unit = u.K
    with pytest.raises(UnitError, match=rf"points\.ecsv, column '{column}'.*K"):
        read_rotation_curves(save(table, tmp_path / "points.ecsv"))
    table.remove_column(column)
    with pytest.raises(CatalogFormatError, match=rf"expected a column '{column}'"):
        read_rotation_curves(save(table, tmp_path / "points.csv"))


def test_bad_rows_of_a_users_table(tmp_path: Path) -> None:
    table = points_table(("A", "B", "C", "D", "E"))
    table["e_v_obs"][1] = -1.0
    table["v_obs"][3:6] = np.nan  # all of B
    table["distance"][7] = 8.0  # C has two
    table["distance"][[9, 10]] = np.nan  # D has one, said once
    table["distance"][12:] = np.inf
    path = save(table, tmp_path / "points.csv")
    curves = read_rotation_curves(path)
    assert curves.name.tolist() == ["A", "D"]
    assert (curves.n_points.tolist(), curves.distance.tolist()) == ([2, 3], [7.0, 7.0])
    told = {(item.name, item.where): item.reason for item in curves.rejected}
    assert told["A", f"{path}, row 2, column 'e_v_obs'"] == "expected a positive number, found -1.0"
    assert [where for name, where in told if name == "B"] == [f"{path}, row {row}, column 'v_obs'" for row in (4, 5, 6)]
    assert told["C", str(path)] == "expected one distance for the galaxy, found 2"
    assert told["E", str(path)] == "expected a distance in Mpc in the file or the galaxy table, found inf"
    assert len(told) == 6


def test_a_distance_may_come_from_the_galaxy_table_alone(write, tmp_path: Path) -> None:
    table = points_table(("A", "B"))
    table.remove_column("distance")
    path = save(table, tmp_path / "points.csv")
    with pytest.raises(CatalogFormatError, match="expected a distance in Mpc in the file or the galaxy table"):
        read_rotation_curves(path)
    curves = read_rotation_curves(path, write("galaxies.csv", "name,D,e_D\nA,3.5,0.1\nC,9,1\n"))
    assert (curves.name.tolist(), curves.distance.tolist()) == (["A"], [3.5])
    assert [item.name for item in curves.rejected] == ["B"]


@pytest.mark.parametrize("linked", [["r"], points_table().colnames])
def test_links_out_of_hdf5_are_not_followed(tmp_path: Path, linked: list[str]) -> None:
    save(points_table(), tmp_path / "other.h5")
    path = save(points_table(), tmp_path / "points.h5")
    with h5py.File(path, "a") as file:
        for name in linked:
            del file[name]
            file[name] = h5py.ExternalLink("other.h5", name)
    with pytest.raises((CatalogFileError, CatalogFormatError), match=r"points\.h5"):
        read_rotation_curves(path)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    length=st.sampled_from([u.pc, u.kpc, u.Mpc, u.lyr, u.m]),
    velocity=st.sampled_from([u.km / u.s, u.m / u.s, u.pc / u.Myr]),
    r=st.lists(st.floats(0.01, 500), min_size=1, max_size=5),
)
def test_units_change_nothing(tmp_path: Path, length, velocity, r: list[float]) -> None:
    n = len(r)
    plain = {"r": np.array(r), **{key: np.linspace(10.0, 90.0, n) + i for i, key in enumerate(POINT[1:])}}
    table = Table({key: (v * (u.kpc if key == "r" else u.km / u.s)) for key, v in plain.items()})
    table["r"] = table["r"].to(length)
    for key in POINT[1:]:
        table[key] = table[key].to(velocity)
    table["distance"] = np.full(n, 7.0) * u.Mpc
    table.write(tmp_path / "points.ecsv", overwrite=True)
    curves = read_rotation_curves(tmp_path / "points.ecsv")
    for key, values in plain.items():
        np.testing.assert_allclose(getattr(curves, key), values, rtol=1e-12)


# --- the galaxies as a whole ------------------------------------------------------------------------------


def test_a_galaxy_table_whose_description_of_bytes_is_wrong(write) -> None:
    path = write("SPARC_Lelli2016c.mrt", (MRT_HEAD + galaxy_row("N1") + "\n" + galaxy_row("N2")).replace("\n", "\r\n"))
    table = read_galaxy_table(path)
    assert (table.name.tolist(), table.r_eff.tolist()) == (["N1", "N2"], [1.25, 1.25])
    assert np.all(np.isnan(table.bulge_luminosity))
    write("Bulges.mrt", "# CAUTION\n#\nN2\t\t1.5\nN7 0.0\n")
    table = read_galaxy_table(path)
    assert np.isnan(table.bulge_luminosity[0])
    assert table.bulge_luminosity[1] == 1.5
    assert [Path(source.path).name for source in table.source] == [path.name, "Bulges.mrt"]


def test_unknown_galaxies_have_nothing_but_the_distance_of_their_file(write, tmp_path: Path) -> None:
    write("N1_rotmod.dat", HEAD + ROWS)
    write("N2_rotmod.dat", HEAD + ROWS)
    write("SPARC_Lelli2016c.mrt", MRT_HEAD + galaxy_row("N2"))
    curves = read_rotation_curves(tmp_path)
    galaxies = curves.galaxies
    assert (curves.distance.tolist(), galaxies.distance.tolist()) == ([10.0, 10.0], [10.0, 10.5])
    np.testing.assert_array_equal(galaxies.inclination, [np.nan, 65.0])
    np.testing.assert_array_equal(galaxies.e_distance, [np.nan, 0.5])
    last = curves.select(curves.galaxies.quality == 2)
    assert (last.name.tolist(), last.first.tolist(), last.r.tolist()) == (["N2"], [0, 2], [1.5, 2.5])
    assert len(curves.select(np.zeros(2, dtype=bool))) == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"inc": "0"}, "expected 1 to 90, found 0"),
        ({"inc": "91"}, "expected 1 to 90, found 91"),
        ({"d": "-2"}, "expected a positive number in column distance"),
        ({"e_d": "-0.5"}, "expected 0 to 100000, found -0.5"),
        ({"e_inc": "inf"}, "expected 0 to 90, found inf"),
        ({"q": "good"}, "expected a number in column quality, found 'good'"),
        ({"q": "2 3"}, "expected 19 columns"),
    ],
)
def test_bad_rows_of_the_galaxy_table(write, change: dict[str, str], expected: str) -> None:
    bad = write("galaxies.mrt", MRT_HEAD + galaxy_row("N1", **change) + galaxy_row("N2"))
    table = read_galaxy_table(bad)
    assert table.name.tolist() == ["N2"]
    (item,) = table.source[0].rejected
    assert (item.name, item.reason[: len(expected)]) == ("N1", expected)
    assert item.where.startswith(str(bad))
    with pytest.raises(CatalogFormatError, match=r"expected at least one usable row, found none: .*expected"):
        read_galaxy_table(write("alone.mrt", MRT_HEAD + galaxy_row("N1", **change)))


def test_galaxy_tables_that_are_refused(write) -> None:
    twice = write("SPARC_Lelli2016c.mrt", MRT_HEAD + galaxy_row("N1") * 2)
    with pytest.raises(CatalogFormatError, match="one row a galaxy, found N1 more than once"):
        read_galaxy_table(twice)
    with pytest.raises(CatalogFormatError, match=r"SPARC_Lelli2016c\.mrt.*N1 more than once"):
        read_rotation_curves(write("N1_rotmod.dat", HEAD + ROWS))
    with pytest.raises(CatalogFormatError, match="one row a galaxy"):
        read_galaxy_table(write("twice.csv", "galaxy,D\nA,1\nB,2\nA,1\n"))
    with pytest.raises(CatalogFormatError, match="at least one usable row, found none"):
        read_galaxy_table(write("empty.mrt", MRT_HEAD))
    write("good/Bulges.mrt", "N1 none\n")
    with pytest.raises(CatalogFormatError, match=r"Bulges\.mrt, line 1: expected a number .*'none'"):
        read_galaxy_table(write("good/SPARC_Lelli2016c.mrt", MRT_HEAD + galaxy_row("N1")))
    write("good/Bulges.mrt", "N1 1.0\nN1 2.0\n")
    with pytest.raises(CatalogFormatError, match=r"Bulges\.mrt: expected one row a galaxy"):
        read_galaxy_table(write("good/SPARC_Lelli2016c.mrt", MRT_HEAD + galaxy_row("N1")))


def test_a_users_galaxy_table_with_units(tmp_path: Path) -> None:
    table = Table({"name": ["A"], "D": [5000.0] * u.kpc, "Inc": [1.0] * u.rad, "L36": [2e8] * u.solLum})
    table["e_Inc"] = np.nan
    table.write(tmp_path / "galaxies.ecsv")
    found = read_galaxy_table(tmp_path / "galaxies.ecsv")
    assert found.distance[0] == pytest.approx(5.0)
    assert found.inclination[0] == pytest.approx(57.29578)
    assert found.luminosity[0] == pytest.approx(0.2)
    mapped = read_galaxy_table(tmp_path / "galaxies.ecsv", column_map={"r_eff": "D", "distance": "D"})
    assert mapped.r_eff[0] == pytest.approx(5000.0)


def test_an_error_without_its_value_is_not_known(write) -> None:
    table = read_galaxy_table(write("galaxies.csv", "galaxy,Inc,e_Inc\nA,,3\nB,60,3\n"))
    np.testing.assert_array_equal(table.e_inclination, [np.nan, 3.0])


def test_where_the_galaxy_table_is_sought(write, tmp_path: Path) -> None:
    curve = write("sparc/Rotmod_LTG/N1_rotmod.dat", HEAD + ROWS)
    assert find_galaxy_table([curve.parent]) is None
    above = write("sparc/SPARC_Lelli2016c.mrt", MRT_HEAD + galaxy_row("N1"))
    assert find_galaxy_table([curve.parent]) == find_galaxy_table([tmp_path, curve]) == above
    beside = write("sparc/Rotmod_LTG/SPARC_Lelli2016c.mrt", MRT_HEAD + galaxy_row("N1", inc="30"))
    assert find_galaxy_table([curve.parent]) == beside
    assert read_rotation_curves(curve).galaxies.inclination.tolist() == [30.0]
    assert read_rotation_curves(curve, above).galaxies.inclination.tolist() == [65.0]


# --- anything at all --------------------------------------------------------------------------------------

MODELS = """Title: Mass models
================================================================================
Byte-by-byte Description of file: datafile2.txt
--------------------------------------------------------------------------------
   Bytes Format Units        Label   Explanations
--------------------------------------------------------------------------------
   1- 11 A11    ---          ID      Galaxy identifier
  13- 18 F6.2   Mpc          D       Assumed distance
  20- 25 F6.2   kpc          R       Galactocentric radius
  27- 32 F6.2   km/s         Vobs    Observed circular velocity
  34- 38 F5.2   km/s       e_Vobs    Uncertainty in Vobs
  40- 45 F6.2   km/s         Vgas    Gas velocity contribution
  47- 52 F6.2   km/s         Vdisk   Disk velocity contribution
  54- 59 F6.2   km/s         Vbul    Bulge velocity contribution
--------------------------------------------------------------------------------
CamB          3.36   0.16   1.99  1.50   1.86   3.75   0.00
CamB          3.36   0.41   4.84  1.50  -4.24   9.47   0.00
D512-2       15.20   0.57   6.79  1.50   5.61  11.76   0.00
"""


def mutated(text: str, random: random.Random) -> bytes:
    """Change, drop, double or swap bytes and lines."""
    data = bytearray(text.encode())
    for _ in range(random.randint(1, 6)):
        at, size = random.randrange(len(data)), random.randint(1, 30)
        piece = data[at : at + size]
        change = random.choice(["byte", "drop", "double", "word", "cut"])
        if change == "byte":
            data[at] = random.randrange(256)
        elif change == "drop" and len(data) > 2 * size:
            del data[at : at + size]
        elif change == "double":
            data[at:at] = piece * random.randint(1, 20)
        elif change == "word":
            data[at : at + 1] = random.choice([b"nan", b"1e999", b"-", b"\x00", b"#", b"\n", b"-----", b"\xff"])
        elif len(data) > 200:
            del data[random.randrange(100, len(data)) :]
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "text", "reader", "count"),
    [
        ("N1_rotmod.dat", HEAD + ROWS * 3, read_rotation_curves, 400),
        ("MassModels_Lelli2016c.mrt", MODELS, read_rotation_curves, 150),
        ("SPARC.mrt", MRT_HEAD + galaxy_row("N1") + galaxy_row("N2"), read_galaxy_table, 300),
        (
            "points.csv",
            "galaxy,D,r,v_obs,e_v,v_gas,v_disk\nA,7,1,50,2,3,4\nB,8,2,60,2,3,4\n",
            read_rotation_curves,
            100,
        ),
    ],
    ids=["rotmod", "mass models", "galaxy table", "csv"],
)
def test_mutated_files_give_data_or_an_error_of_ours(write, name: str, text: str, reader, count: int) -> None:
    random_source, told, good = random.Random(20160707), [], 0
    for _ in range(count):
        path = write(name, mutated(text, random_source))
        try:
            found = reader(path)
        except AstrotkError as exc:
            told.append(str(exc))
            continue
        good += 1
        if reader is read_rotation_curves:
            assert np.all(np.isfinite([getattr(found, key) for key in POINT]))
            assert np.all(found.r > 0)
            assert np.all(found.e_v_obs > 0)
            assert np.all((found.distance > 0) & np.isfinite(found.distance))
        else:
            assert np.all(np.isnan(found.inclination) | (np.abs(found.inclination - 45.5) <= 44.5))
    assert good > count // 10
    assert len(told) > count // 50
    assert not any("\n" in message for message in told)
