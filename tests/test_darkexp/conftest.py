"""Made-up galaxies of every kind that the tests of darkexp need."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from catalogs.sparc import GalaxyTable, RotationCurves

POINT_FIELDS = ("r", "v_obs", "e_v_obs", "v_gas", "v_disk", "v_bulge")


def _make(n=3, *, bulge=True, points=12, seed=0, **unknown):
    """Galaxies with gas holes; `unknown` names columns of the galaxy table that become NaN (True: everywhere)."""
    rng = np.random.default_rng(seed)
    counts = np.full(n, points) + np.arange(n)
    total = counts.sum()
    r = np.concatenate([np.linspace(0.6, rng.uniform(8, 20), count) for count in counts])
    v_bulge = 60 * np.exp(-r / 3) if bulge else np.zeros(total)
    columns = {
        "distance": rng.uniform(5, 40, n),
        "e_distance": rng.uniform(0.5, 2, n),
        "inclination": rng.uniform(40, 80, n),
        "e_inclination": rng.uniform(1, 5, n),
        "luminosity": rng.uniform(2, 50, n),
        "bulge_luminosity": rng.uniform(0.1, 1, n) if bulge else np.zeros(n),
        "r_eff": rng.uniform(1, 4, n),
        "quality": np.arange(n) % 3 + 1.0,
    }
    distance = columns["distance"].copy()
    for key, where in unknown.items():
        columns[key][np.broadcast_to(where, n)] = np.nan
    return RotationCurves(
        galaxies=GalaxyTable(np.array([f"made up {i}" for i in range(n)]), **columns, source=()),
        distance=distance,
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        r=r,
        v_obs=130 * np.sqrt(r / (r + 2)) + rng.normal(0, 4, total),
        e_v_obs=rng.uniform(2, 6, total),
        v_gas=np.where(r < 2, -8.0, 30 * np.sqrt(r / (r + 9))),
        v_disk=90 * np.sqrt(r / (r + 3)) * np.exp(-r / 30),
        v_bulge=v_bulge,
        source=(),
    )


@pytest.fixture(scope="session")
def make_curves():
    """``make_curves(n, bulge=..., points=..., seed=..., column=where)``; galaxy i has `points` + i points."""
    return _make


def _join(*parts):
    """Put the galaxies of several sets under one another, with new names."""
    names = np.array([f"joined {i}" for i in range(sum(map(len, parts)))])
    columns = {
        f.name: np.concatenate([getattr(part.galaxies, f.name) for part in parts])
        for f in fields(GalaxyTable)
        if f.name not in ("name", "source")
    }
    return replace(
        parts[0],
        galaxies=GalaxyTable(name=names, **columns, source=()),
        distance=np.concatenate([part.distance for part in parts]),
        first=np.concatenate([[0], np.cumsum(np.concatenate([part.n_points for part in parts]))]).astype(np.int64),
        **{key: np.concatenate([getattr(part, key) for part in parts]) for key in POINT_FIELDS},
    )


@pytest.fixture(scope="session")
def join():
    """``join(curves, more curves, ...)``."""
    return _join


def _shorten(curves, count):
    """Keep the first points of every galaxy."""
    index = np.concatenate([np.arange(a, a + count) for a in curves.first[:-1]])
    return replace(
        curves,
        first=np.arange(len(curves) + 1, dtype=np.int64) * count,
        **{key: getattr(curves, key)[index] for key in POINT_FIELDS},
    )


@pytest.fixture(scope="session")
def shorten():
    """``shorten(curves, number of points)``."""
    return _shorten


@pytest.fixture(scope="session")
def sparc(data_dir):
    """The 175 galaxies of SPARC."""
    from catalogs.sparc import read_rotation_curves

    folder = data_dir / "darkexp" / "sparc" / "Rotmod_LTG"
    if not folder.is_dir():
        pytest.skip(f"no SPARC rotation curves at {folder}")
    return read_rotation_curves(folder)
