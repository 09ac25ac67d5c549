"""Truths drawn from the prior are found by their posteriors as often as they should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astrotk.darkexp import calibration
from astrotk.darkexp.calibration import calibrate_profile
from astrotk.darkexp.mock import disks
from astrotk.darkexp.profiles import PROFILES
from catalogs.errors import ParameterError

NFW = PROFILES["NFW"]


def test_few_mocks_of_real_looking_galaxies():
    template = disks(2, seed=1)[0]
    result, verdict = calibrate_profile(NFW, 20, template=template, seed=2, max_steps=1024)
    rows, mocks = result.tables["calibration"], result.tables["mocks"]
    assert list(rows["parameter"]) == list(verdict.names)
    assert len(mocks) == 20
    assert len(set(mocks["galaxy"])) == 20
    assert np.all(verdict.p > 1e-4)
    assert "steps" in mocks.colnames


def test_galaxies_that_differ_in_their_parameters_are_refused(make_curves, join):
    template = join(make_curves(1, bulge=True), make_curves(1, bulge=False))
    with pytest.raises(ParameterError, match="same free parameters, found some with and some without a bulge"):
        calibrate_profile(NFW, 20, template=template)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DARKexp", "DARKexp-gamma", "NFW"])
def test_three_hundred_mocks(name):
    """With thousands of draws from 300 mocks a false alarm is rarer than one in a hundred."""
    _, verdict = calibrate_profile(PROFILES[name], 300, seed=7)
    assert np.all(verdict.calibrated), verdict.table()


@pytest.mark.slow
def test_errors_that_are_too_small_are_caught(monkeypatch):
    """Planted: the fit believes velocities three times better than they are."""
    observed = calibration.observe_from_prior

    def optimistic(*args, **kwargs):
        curves, truth = observed(*args, **kwargs)
        return replace(curves, e_v_obs=curves.e_v_obs / 3), truth

    monkeypatch.setattr(calibration, "observe_from_prior", optimistic)
    _, verdict = calibrate_profile(NFW, 300, seed=7)
    assert not np.all(verdict.calibrated)
