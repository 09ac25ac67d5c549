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
    darkexp = catalogue[catalogue["profile"] == "DARKexp"]
    for row in demo.truth:
        own, name = darkexp[darkexp["galaxy"] == row["object"]][0], row["quantity"]
        assert row["recovered"] == own[f"{name}_p50"]
        end = own[f"{name}_p84"] if row["truth"] > row["recovered"] else own[f"{name}_p16"]
        assert row["error"] == pytest.approx(abs(end - row["recovered"]))
        assert str(catalogue[name].unit or "") == row["unit"] or row["unit"] == "solMass / solLum"


def test_the_summary_counts_what_the_result_says(demo):
    best, rows = demo.result.tables["galaxies"]["best_profile"], demo.result.tables["catalogue"]
    assert f"lowest BIC in {np.sum(best == 'DARKexp')} of {GALAXIES}" in demo.summary
    assert f"{np.sum(rows['converged'])} of {len(rows)} posteriors passed" in demo.summary
    assert np.mean(rows["converged"]) > 0.8
    assert {plate.name for plate in demo.plates} == {"rotation_curves", "phi0", "comparison"}


def test_another_seed_passes_too(demo):
    other = run(1)
    assert not np.any(other.truth["recovered"] == demo.truth["recovered"])
    assert passed(verdicts(other.truth))
