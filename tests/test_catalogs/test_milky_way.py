"""Curves of the Milky Way come as they are laid out, models of its baryons as they are written, or not at all."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError, ParameterError, UnitError
from catalogs.milky_way import LAYOUTS, BaryonModel, Bulge, Disk, read_baryon_model, read_velocity_curve

EILERS = "5.27 226.83 1.91 1.90\n5.74 230.80 1.43 1.35\n6.23 231.20 1.70 1.10\n"
OU = (
    "# Ou 2024, Table 1\n# R0 = 8.178 kpc\nR_kpc\tvc_kms\tsig_plus\tsig_minus\tNstar\n"
    "6.27\t231.07\t1.28\t1.00\t764\n6.78\t230.93\t0.97\t0.97\t616\n"
)
MROZ = " 9.751 219.70  4.12 0.066\n11.075 217.75  4.70 0.139\n"
WANG = "0    5.237864  223.777727  19.061335  0.126156\n1    5.796529  233.638824  11.151029  0.121625\n"
MODEL = """reference = "me"
[[stars]]
mass = 3.65e10
scale = 2.35
height = 0.14
[[gas]]
mass = 8200000000
scale = 18.24
[bulge]
mass = 1.55e10
scale = 0.7
"""


@pytest.fixture
def write(tmp_path: Path):
    def put(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put


@pytest.mark.parametrize(
    ("name", "text", "first", "r0"),
    [
        ("MW_RC_Eilers2019.dat", EILERS, (5.27, 226.83, 1.91, 1.90), 8.122),
        ("MW_RC_Ou2024_table1.tsv", OU, (6.27, 231.07, 1.28, 1.00), 8.178),
        ("MW_RC_Mroz2019.dat", MROZ, (9.751, 219.70, 4.12, 4.12), math.nan),
        ("MW_RC_stddev_W21.txt", WANG, (5.237864, 223.777727, 19.061335, 19.061335), math.nan),
    ],
)
def test_published_layouts(write, name: str, text: str, first: tuple[float, ...], r0: float) -> None:
    curve = read_velocity_curve(write(name, text))
    assert (curve.r[0], curve.v[0], curve.e_plus[0], curve.e_minus[0]) == first
    assert curve.e_v[0] == pytest.approx((first[2] + first[3]) / 2)
    np.testing.assert_equal(curve.r0, r0)
    assert curve.source.rejected == ()
    assert curve.reference
    assert len(curve) == text.count("\n") - (4 - 1 if name.endswith("tsv") else 0)


def test_a_layout_can_be_named(write) -> None:
    path = write("mine.dat", EILERS)
    assert read_velocity_curve(path, layout="Eilers2019").v[1] == 230.80
    with pytest.raises(ParameterError, match=r"mine\.dat: the name shows no layout"):
        read_velocity_curve(path)
    with pytest.raises(ParameterError, match="choose from eilers2019, ou2024, mroz2019, wang2021"):
        read_velocity_curve(path, layout="gaia")


def test_model_curves_are_not_taken_for_data(write) -> None:
    with pytest.raises(ParameterError, match="the name shows no layout"):
        read_velocity_curve(write("MW_dsvel-W21-RC.txt", "#R Baryon CDM QUMOND MOG\n1 2 3 4 5\n"))


def test_a_users_table_with_units(tmp_path: Path) -> None:
    table = Table({"radius": [5000.0, 6000.0] * u.pc, "vc": [2.3e5, 2.2e5] * u.m / u.s, "sigma": [3.0, 4.0]})
    table["note"] = ["", "x"]
    table.write(tmp_path / "mine.ecsv")
    curve = read_velocity_curve(tmp_path / "mine.ecsv")
    np.testing.assert_allclose(curve.r, [5.0, 6.0])
    np.testing.assert_allclose(curve.v, [230.0, 220.0])
    np.testing.assert_array_equal(curve.e_minus, [3.0, 4.0])
    assert math.isnan(curve.r0)
    mapped = read_velocity_curve(tmp_path / "mine.ecsv", column_map={"e_minus": "vc"})
    np.testing.assert_allclose(mapped.e_minus, [230.0, 220.0])
    table["vc"].unit = u.K
    table.write(tmp_path / "wrong.ecsv")
    with pytest.raises(UnitError, match=r"wrong\.ecsv, column 'vc'"):
        read_velocity_curve(tmp_path / "wrong.ecsv")


@pytest.mark.parametrize("row", ["-1 200 1 1", "5 nan 1 1", "5 200 0 1", "5 200 1", "x 200 1 1", "5 200 1 -1"])
def test_bad_rows_are_named(write, row: str) -> None:
    path = write("eilers.dat", EILERS + row + "\n")
    curve = read_velocity_curve(path)
    (item,) = curve.source.rejected
    assert len(curve) == 3
    assert item.where == f"{path}, line 4"
    assert item.reason.startswith("expected")
    with pytest.raises(CatalogFormatError, match=r"at least one usable row, found none: .*line 1"):
        read_velocity_curve(write("eilers-alone.dat", row))


def test_files_that_are_refused(write, tmp_path: Path) -> None:
    with pytest.raises(CatalogFileError, match="no such file"):
        read_velocity_curve(tmp_path / "eilers.dat")
    with pytest.raises(CatalogFormatError, match="found none"):
        read_velocity_curve(write("eilers.dat", ""))
    with pytest.raises(CatalogFormatError, match="a column 'r'"):
        read_velocity_curve(write("mine.csv", "x,v,e_v\n1,2,3\n"))


def test_a_range_of_radii(write) -> None:
    curve = read_velocity_curve(write("eilers.dat", EILERS))
    np.testing.assert_array_equal(curve.within(5.74, 6.0).r, [5.74])
    assert len(curve.within()) == 3
    with pytest.raises(ParameterError, match=r"points within 10 to inf kpc, found 5\.27 to 6\.23 kpc"):
        curve.within(10.0)


def test_mutated_curves_give_data_or_an_error_of_ours(write) -> None:
    source, good, told = random.Random(2024), 0, []
    for _ in range(200):
        data = bytearray(OU.encode())
        for _ in range(source.randint(1, 5)):
            at = source.randrange(len(data))
            data[at : at + source.randint(0, 6)] = source.choice([b"", b"\xff", b"\0", b"1e999", b"nan", b"\n", b"#"])
        try:
            curve = read_velocity_curve(write("ou2024.tsv", bytes(data)))
        except AstrotkError as exc:
            told.append(str(exc))
            continue
        good += 1
        values = np.stack([curve.r, curve.v, curve.e_plus, curve.e_minus])
        assert np.all(np.isfinite(values) & (values > 0))
    assert good > 40
    assert len(told) > 10
    assert not any("\n" in message for message in told)


# --- baryons ----------------------------------------------------------------------------------------------


def test_a_model_of_baryons(write) -> None:
    found = read_baryon_model(write("model.toml", MODEL))
    assert found == BaryonModel(
        stars=(Disk(3.65e10, 2.35, 0.14),),
        gas=(Disk(8.2e9, 18.24, 0.0),),
        bulge=Bulge(1.55e10, 0.7),
        reference="me",
        source=found.source,
    )
    assert len(found.source.sha256) == 64
    bare = read_baryon_model(write("bare.toml", "[[stars]]\nmass = 1e10\nscale = 2\n"))
    assert (bare.gas, bare.bulge) == ((), None)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("mass = 3.65e10", "mass = -1"), r"stars 1: expected a positive number for mass, found -1"),
        (("mass = 3.65e10", "mass = true"), "found True"),
        (("mass = 3.65e10", "mass = nan"), "found nan"),
        (("mass = 3.65e10", "mass = inf"), "found inf"),
        (("mass = 3.65e10", "mass = 1" + "0" * 400), "expected a positive number for mass"),
        (("mass = 3.65e10", 'mass = "heavy"'), "found 'heavy'"),
        (("scale = 18.24", "scale = 0"), "gas 1: expected a positive number for scale, found 0"),
        (("scale = 18.24", "length = 3"), "gas 1: expected a table with mass, scale, height, found mass, length"),
        (("[bulge]", "[bulge]\nheight = 1"), "bulge: expected a table with mass, scale, found height, mass, scale"),
        (("[bulge]", "[halo]"), "expected stars, gas, bulge and reference, found 'halo'"),
        (("[[stars]]", "[stars]"), r"stars: expected a list of tables \[\[stars\]\], found dict"),
        (("[[stars]]", "[[gas]]"), r"at least one disc \[\[stars\]\]"),
        (("[[stars]]", "[[stars"), "expected TOML"),
        (('reference = "me"', "bulge = 3"), "expected TOML"),
    ],
)
def test_models_that_are_refused(write, change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(CatalogFormatError, match=complaint) as caught:
        read_baryon_model(write("model.toml", MODEL.replace(*change, 1)))
    assert "\n" not in str(caught.value)


def test_other_files_are_no_model(write, tmp_path: Path) -> None:
    with pytest.raises(CatalogFileError, match="no such file"):
        read_baryon_model(tmp_path / "model.toml")
    with pytest.raises(CatalogFileError, match="above the limit"):
        read_baryon_model(write("model.toml", "#" * 200_000))
    with pytest.raises(CatalogFormatError, match="expected TOML"):
        read_baryon_model(write("model.toml", b"\xff\xfe"))


# --- the real files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "points", "r_max"),
    [
        ("MW_RC_Eilers2019.dat", 38, 24.82),
        ("MW_RC_Ou2024_table1.tsv", 37, 27.31),
        ("MW_RC_Mroz2019.dat", 773, 19.53),
        ("MW_RC_stddev_W21.txt", 28, 22.18),
    ],
)
def test_the_published_files(data_dir: Path, name: str, points: int, r_max: float) -> None:
    path = data_dir / "darkexp" / "milkyway" / name
    if not path.is_file():
        pytest.skip(f"no curve of the Milky Way at {path}")
    curve = read_velocity_curve(path)
    assert (len(curve), curve.r.max(), curve.source.rejected) == (points, r_max, ())
    assert 150 < np.median(curve.v) < 250
    assert any(curve.reference == layout.reference for layout in LAYOUTS.values())
