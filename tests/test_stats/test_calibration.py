"""Right posteriors pass; the bugs that are planted here do not, among them those that R-hat cannot see."""

from __future__ import annotations

import emcee
import numpy as np
import pytest
from scipy import stats as scipy_stats

from catalogs.errors import ParameterError
from stats.calibration import CALIBRATED, LEVELS, MISCALIBRATED, Calibration, calibrate, prior_truth
from stats.diagnostics import Gate
from stats.priors import Normal, Uniform
from stats.sampling import sample
from stats.target import Target

DIM = 3


def mocks(count, seed, *, draws=400, dim=DIM):
    """Truths from a prior N(0, 1), one datum of error 1 each, and draws of the exact posterior N(x / 2, 1 / 2)."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(count, dim))
    centre = (truth + rng.normal(size=truth.shape)) / 2
    return truth, centre, rng.normal(size=(count, draws, dim)) * np.sqrt(0.5)


def names(dim=DIM):
    return [f"theta_{k}" for k in range(dim)]


class UnweightedStretch(emcee.moves.StretchMove):
    """The planted bug: a stretch without its z^(d-1)."""

    def get_proposal(self, s, c, random):
        q, factors = super().get_proposal(s, c, random)
        return q, np.zeros_like(factors)


def test_exact_posteriors_pass():
    truth, centre, noise = mocks(1500, seed=1)
    found = calibrate(truth, centre[:, None] + noise, names())
    assert found.calibrated.all()
    assert np.all(found.p > 1e-3)
    assert np.all(np.abs(found.sigmas) < 3.5)
    assert np.all((found.ranks >= 0) & (found.ranks <= 99))
    table = found.table()
    assert set(table["verdict"]) == {CALIBRATED}
    assert list(table["parameter"]) == names()
    np.testing.assert_allclose(table["coverage_68"], LEVELS[0], atol=0.05)


def test_probabilities_of_exact_posteriors_are_even():
    """400 parameters: each kind of p, and the coverage in standard errors, is distributed as it should be."""
    dim = 400
    truth, centre, noise = mocks(200, seed=2, draws=200, dim=dim)
    found = calibrate(truth, centre[:, None] + noise, names(dim))
    for p in (found.p_chi2, found.p_ks):
        assert scipy_stats.kstest(p, "uniform").pvalue > 1e-3
    assert np.mean(found.p < 0.05) < 0.05 + 4 * np.sqrt(0.05 / dim)
    assert np.abs(np.mean(found.sigmas, axis=1)).max() < 5 / np.sqrt(dim)
    np.testing.assert_allclose(np.std(found.sigmas, axis=1), 1.0, atol=0.15)


@pytest.mark.parametrize(
    ("width", "shift", "seen_by"),
    [(0.85, 0.0, "coverage_68_sigmas"), (1 / 0.85, 0.0, "coverage_68_sigmas"), (1.0, 0.2, "p_ks"), (1.0, -0.2, "p_ks")],
)
def test_planted_widths_and_shifts_fail(width, shift, seen_by):
    truth, centre, noise = mocks(1500, seed=3)
    planted = centre[:, None] + width * noise
    planted[..., 1:] = (centre[:, None] + noise)[..., 1:]
    planted[..., 0] += shift * np.sqrt(0.5)
    found = calibrate(truth, planted, names())
    assert found.calibrated.tolist() == [False, True, True]
    row = found.table()[0]
    assert row["verdict"] == MISCALIBRATED
    if seen_by == "p_ks":
        assert row["p_ks"] < 1e-6
    else:
        assert np.sign(row[seen_by]) == np.sign(width - 1)
        assert abs(row[seen_by]) > 4


def test_a_stretch_without_its_factor_converges_but_is_not_calibrated():
    """The moves know no origin and no unit, so that one run serves all mocks, shifted to each of them."""

    def loglike(theta, _):
        return -np.sum(theta**2, axis=-1)

    target = Target(tuple(names()), (Uniform(-50.0, 50.0),) * DIM, ["mock"], loglike)
    truth, centre, _ = mocks(400, seed=4)  # few enough that the one run is exact enough for all
    verdicts, rng = {}, np.random.default_rng(4)
    for moves in (emcee.moves.StretchMove(), UnweightedStretch()):
        run = sample(target, seed=5, moves=moves, walkers=16, max_steps=8192, gate=Gate(taus=5))
        assert run.diagnosis.converged[0]
        own = run.draws[0, rng.integers(0, run.draws.shape[1], size=(len(truth), 400))]
        verdicts[type(moves).__name__] = calibrate(truth, centre[:, None] + own, names())
    assert verdicts["StretchMove"].calibrated.all()
    assert not verdicts["UnweightedStretch"].calibrated.any()
    assert verdicts["UnweightedStretch"].p.min() < 1e-4
    assert np.all(verdicts["UnweightedStretch"].sigmas[0] < -3)


def test_neighbours_that_are_alike_matter_little():
    rng = np.random.default_rng(6)
    truth, centre, noise = mocks(600, seed=6, draws=200)
    found = calibrate(truth, np.repeat(centre[:, None] + noise, 5, axis=1), names())
    assert found.calibrated.all()
    shuffled = rng.permuted(np.repeat(centre[:, None] + noise, 5, axis=1), axis=1)
    assert calibrate(truth, shuffled, names()).calibrated.all()


def test_ties_are_spread_evenly():
    """A coin with a known chance: posterior and truth take two values, and every rank is as likely."""
    rng = np.random.default_rng(7)
    chance = rng.uniform(size=(2000, 1))
    truth = (rng.uniform(size=(2000, 1)) < chance).astype(float)
    draws = (rng.uniform(size=(2000, 99, 1)) < chance[:, None]).astype(float)
    found = calibrate(truth, draws, ["coin"])
    assert found.p[0] > 1e-3
    np.testing.assert_array_equal(found.ranks, calibrate(truth, draws, ["coin"]).ranks)
    assert np.any(found.ranks != calibrate(truth, draws, ["coin"], seed=1).ranks)


class TestPriorTruth:
    def target(self, **changes):
        parts = {
            "names": ("a", "b"),
            "priors": (Uniform(-5.0, np.linspace(5.0, 6.0, 3000)), Normal(1.0, 2.0)),
            "objects": [f"m{k}" for k in range(3000)],
            "loglike": lambda theta, _: np.zeros(theta.shape[:2]),
        }
        return Target(**(parts | changes))

    def test_has_the_distribution_of_the_prior(self):
        target = self.target()
        truth = prior_truth(target, seed=8)
        share = (truth[:, 0] + 5) / (np.linspace(5.0, 6.0, 3000) + 5)
        assert scipy_stats.kstest(share, "uniform").pvalue > 1e-3
        assert scipy_stats.kstest((truth[:, 1] - 1) / 2, "norm").pvalue > 1e-3

    def test_terms_that_tie_parameters_are_part_of_it(self):
        """b = a within 0.5, with b from N(1, 2): b - a from N(0, 0.5), a almost as before where it is flat."""
        truth = prior_truth(self.target(joint=lambda t, o: (t[..., 1:] - t[..., :1]) / 0.5), seed=9)
        inside = np.abs(truth[:, 1]) < 3
        difference = (truth[:, 1] - truth[:, 0])[inside]
        assert scipy_stats.kstest(difference / 0.5, "norm").pvalue > 1e-3

    def test_an_object_has_its_own_stream(self):
        objects = ["m7", "m2"]
        few = self.target(objects=objects, priors=(Uniform(-5.0, 5.0), Normal(1.0, 2.0)))
        all_of_them = prior_truth(self.target(priors=(Uniform(-5.0, 5.0), Normal(1.0, 2.0))), seed=1)
        np.testing.assert_array_equal(prior_truth(few, seed=1), all_of_them[[7, 2]])

    def test_terms_that_nothing_fits_are_refused(self):
        impossible = self.target(objects=["x"], priors=(Uniform(0.0, 1.0),) * 2, joint=lambda t, o: t[..., :1] + 99)
        with pytest.raises(ParameterError, match="'x': none of 256000 draws"):
            prior_truth(impossible, seed=1)


@pytest.mark.parametrize(
    ("truth", "draws", "complaint"),
    [
        (np.zeros((50, 2)), np.zeros((50, 99, 3)), r"found \(50, 2\), \(50, 99, 3\) and 2 names"),
        (np.zeros((50, 3)), np.zeros((50, 99, 3)), "and 2 names"),
        (np.zeros(50), np.zeros((50, 99, 2)), "and 2 names"),
        (np.zeros((19, 2)), np.zeros((19, 99, 2)), "at least 20 mocks and 99 draws of each, found 19 and 99"),
        (np.zeros((50, 2)), np.zeros((50, 98, 2)), "found 50 and 98"),
        (np.full((50, 2), np.nan), np.zeros((50, 99, 2)), "finite truths and draws"),
        (np.zeros((50, 2)), np.full((50, 99, 2), np.inf), "finite truths and draws"),
    ],
)
def test_what_does_not_fit_is_refused(truth, draws, complaint):
    with pytest.raises(ParameterError, match=complaint):
        calibrate(truth, draws, ["a", "b"])


def test_the_gate_is_the_smaller_of_two_probabilities_twice():
    found = Calibration(("a",), np.zeros((100, 1), int), np.array([0.9]), np.array([0.004]), np.array([[0.68], [0.95]]))
    np.testing.assert_allclose(found.p, 0.008)
    np.testing.assert_allclose(found.error, [np.sqrt(0.6827 * 0.3173 / 100), np.sqrt(0.9545 * 0.0455 / 100)], rtol=1e-3)
