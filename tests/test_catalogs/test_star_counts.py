"""Star counts come as positions or in rings, with units, or not at all."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError, ParameterError, UnitError
from catalogs.star_counts import read_rings, read_star_positions


@pytest.fixture
def write(tmp_path: Path):
    def put(name: str, content: str | bytes | Table) -> Path:
        path = tmp_path / name
        if isinstance(content, Table):
            content.write(path, overwrite=True)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def test_distances_of_stars(write) -> None:
    stars = read_star_positions(write("stars.csv", "r,mag\n1.5,20\n0.5,21\n3.0,19\n-1,18\n"))
    assert (stars.r.tolist(), stars.r_max, stars.unit) == ([1.5, 0.5, 3.0], 3.0, "arcmin")
    (item,) = stars.source.rejected
    assert (item.where, item.reason) == ("row 4, column 'r'", "expected a positive number, found -1.0")
    inner = read_star_positions(write("stars.csv", "r\n1.5\n0.5\n3.0\n"), r_max=2.0, unit="pc")
    assert (inner.r.tolist(), inner.r_max, inner.unit) == ([1.5, 0.5], 2.0, "pc")
    assert inner.source.rejected[0].where == "row 3"
    assert inner.source.rejected[0].reason == "expected a distance of 0 to 2 pc from the centre, found 3"
    table = Table({"dist": [60.0, 120.0] * u.arcsec})
    np.testing.assert_allclose(read_star_positions(write("s.ecsv", table), column_map={"r": "dist"}).r, [1.0, 2.0])


@settings(max_examples=30)
@given(ra=st.floats(0, 359.9), dec=st.floats(-89, 89), angle=st.floats(0, 6.28), distance=st.floats(0.01, 60))
def test_positions_on_the_sky(tmp_path_factory, ra: float, dec: float, angle: float, distance: float) -> None:
    star = SkyCoord(ra * u.deg, dec * u.deg).directional_offset_by(angle * u.rad, distance * u.arcmin)
    path = tmp_path_factory.mktemp("sky") / "stars.csv"
    path.write_text(f"RA,DEC\n{star.ra.deg:.17g},{star.dec.deg:.17g}\n")
    found = read_star_positions(path, centre=(ra, dec))
    assert found.r[0] == pytest.approx(distance, rel=1e-6)


def test_what_makes_no_sense_for_positions(write, tmp_path: Path) -> None:
    path = write("stars.csv", "ra,dec\n10,20\n")
    with pytest.raises(ParameterError, match="centre: expected right ascension"):
        read_star_positions(path, centre=(10.0, 95.0))
    with pytest.raises(ParameterError, match="expected an angle, such as arcmin, found 'pc'"):
        read_star_positions(path, centre=(10.0, 20.0), unit="pc")
    with pytest.raises(ParameterError, match="expected an angle or a length"):
        read_star_positions(path, unit="km/s")
    with pytest.raises(ParameterError, match="r_max: expected a radius above 0, found -1"):
        read_star_positions(path, r_max=-1.0)
    with pytest.raises(CatalogFormatError, match="a column 'r'"):
        read_star_positions(path)
    with pytest.raises(CatalogFormatError, match=r"at least one star within 0\.1 arcmin of the centre, found none"):
        read_star_positions(path, centre=(11.0, 20.0), r_max=0.1)
    with pytest.raises(CatalogFileError, match="no such file"):
        read_star_positions(tmp_path / "none.csv")
    with pytest.raises(UnitError, match=r"s\.ecsv, column 'r'"):
        read_star_positions(write("s.ecsv", Table({"r": [1.0] * u.kg})))


def test_rings_with_edges(write) -> None:
    rings = read_rings(write("rings.csv", "r_low,r_high,N\n1,2,5\n0,1,9\n3,4,0\n"))
    assert (rings.r_low.tolist(), rings.r_high.tolist()) == ([0.0, 1.0, 3.0], [1.0, 2.0, 4.0])
    assert (rings.value.tolist(), rings.error, len(rings)) == ([9.0, 5.0, 0.0], None, 3)


def test_rings_with_middles_and_densities(write) -> None:
    table = Table({"R": [1.0, 2.0, 4.0] * u.arcmin, "Sigma": [3600.0, 7200.0, 0.0] / u.deg**2})
    table["e_sigma"] = [1.0, 2.0, 0.5] / u.arcmin**2
    rings = read_rings(write("rings.ecsv", table))
    np.testing.assert_allclose(rings.r_low, [0.5, 1.5, 3.0])
    np.testing.assert_allclose(rings.r_high, [1.5, 3.0, 5.0])
    np.testing.assert_allclose(rings.value, [1.0, 2.0, 0.0])
    np.testing.assert_allclose(rings.error, [1.0, 2.0, 0.5])
    assert read_rings(write("wide.csv", "r,n\n1,3\n4,1\n")).r_low[0] == 0.0  # no ring begins below nothing


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("r_low,r_high,n\n0,2,5\n1,3,5\n", "that do not overlap"),
        ("r_low,r_high,n\n2,1,5\n", "rings 0 <= r_low < r_high"),
        ("r_low,r_high,n\n-1,1,5\n", "rings 0 <= r_low < r_high"),
        ("r_low,r_high,n\n0,1,5\n1,2,2.5\n", r"row 2: expected a whole number of stars, found 2\.5"),
        ("r_low,r_high,n\n0,1,-5\n", "a whole number of stars, found -5"),
        ("r,n\n1,5\n", "at least two rings, found one middle r"),
        ("r_low,n\n1,5\n", "columns 'r_low' and 'r_high', or 'r'"),
        ("r,sigma\n1,5\n2,3\n", "a column 'n', or 'sigma' and 'e_sigma'"),
        ("r,n\n", "expected rows, found none"),
    ],
)
def test_rings_that_are_refused(write, text: str, complaint: str) -> None:
    with pytest.raises(CatalogFormatError, match=complaint):
        read_rings(write("rings.csv", text))


def test_mutated_rings_give_data_or_an_error_of_ours(write) -> None:
    source, good, told = random.Random(7), 0, []
    text = b"r_low,r_high,n\n0,1,9\n1,2,5\n2,3.5,4\n3.5,6,2\n"
    for _ in range(150):
        data = bytearray(text)
        at = source.randrange(len(data))
        data[at : at + source.randint(0, 5)] = source.choice([b"", b"\xff", b"\0", b"1e999", b"nan", b"\n", b"-", b","])
        try:
            rings = read_rings(write("rings.csv", bytes(data)))
        except AstrotkError as exc:
            told.append(str(exc))
            continue
        good += 1
        assert np.all(np.isfinite(rings.value) & (rings.value >= 0) & (rings.r_low < rings.r_high) & (rings.r_low >= 0))
    assert good > 20
    assert len(told) > 20
    assert not any("\n" in message for message in told)
