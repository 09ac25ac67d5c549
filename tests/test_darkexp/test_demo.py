"""The demonstration recovers its truth, whatever the seed."""

from __future__ import annotations

import numpy as np
import pytest

from astrotk.darkexp.demo import GALAXIES, QUANTITIES, run
from stats.demo import COLUMNS, passed, verdicts


@pytest.fixture(scope="module")
def demo():
    return run()


def test_it_passes(demo):
    assert passed(verdicts(demo.truth))


def test_it_compares_every_quantity_of_every_galaxy(demo):
    assert tuple(demo.truth.colnames) == COLUMNS
    pairs = set(zip(demo.truth["object"], demo.truth["quantity"], strict=True))
    assert pairs == {(f"mock-{i + 1:02d}", name) for i in range(GALAXIES) for name in QUANTITIES}
    catalogue = demo.result.tables["catalogue"]
    nfw = catalogue[catalogue["profile"] == "NFW"]
    for row in demo.truth:
        own = nfw[nfw["galaxy"] == row["object"]][0]
        assert row["recovered"] == own[row["quantity"]]
        assert row["error"] == own[f"{row['quantity']}_err"]
        assert str(catalogue[row["quantity"]].unit) == row["unit"] or row["unit"] == "solMass / solLum"


def test_the_summary_counts_what_the_result_says(demo):
    best = demo.result.tables["galaxies"]["best_profile"]
    assert f"lowest BIC in {np.sum(best == 'NFW')} of {GALAXIES}" in demo.summary
    assert np.sum(best == "NFW") > GALAXIES / 2
    assert len(demo.plates) >= 2
    assert np.all(demo.result.tables["catalogue"]["converged"])


def test_the_seed_decides(demo):
    again, other = run(0), run(1)
    np.testing.assert_array_equal(again.truth["recovered"], demo.truth["recovered"])
    assert not np.any(other.truth["recovered"] == demo.truth["recovered"])
    assert passed(verdicts(other.truth))
