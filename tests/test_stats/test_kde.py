from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.special import entr, logsumexp
from scipy.stats import gaussian_kde

from catalogs.errors import ParameterError
from stats import kde as package
from stats.kde import (
    bandwidth_loo,
    bandwidth_regime,
    h_clt,
    h_condensation,
    h_optimal,
    kde,
    kde_grid,
    kde_logpdf,
    scott,
    silverman,
    tail_index,
)
from stats.kde._loops import NOTHING, TILE, log_sums
from stats.kde.plots import regimes
from stats.plots import save
from stats.resampling import stream


def cloud(n, dim, name="cloud"):
    """Correlated samples off the origin, on axes of very different units."""
    axes = stream(0, f"axes {dim}")
    mixing = axes.normal(size=(dim, dim)) + 2 * np.eye(dim)
    return (stream(0, name).normal(size=(n, dim)) @ mixing + 7) * 10.0 ** axes.integers(-6, 7, size=dim)


def terms(samples, queries, h, weights=None):
    """The logarithms of all terms of the estimate, (q, n), from the textbook."""
    n, dim = samples.shape
    w = np.ones(n) if weights is None else weights
    covariance = np.atleast_2d(np.cov(samples.T, aweights=w))
    unit = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance / unit / unit[:, None])
    white = [np.linalg.solve(root, ((x - np.mean(samples, axis=0)) / unit).T).T for x in (queries, samples)]
    log_volume = np.sum(np.log(np.diag(root))) + np.sum(np.log(unit))
    constant = -0.5 * dim * np.log(2 * np.pi * h**2) - log_volume
    return constant + np.log(w / w.sum()) - 0.5 * cdist(*white, "sqeuclidean") / h**2


def unwhitened(samples, queries, h):
    """The estimate where the covariance is known to be the unit matrix: its logarithm, N_eff and entropy."""
    n, dim = samples.shape
    padding = (0, -n % TILE)
    y = np.ascontiguousarray(np.pad(samples.T, ((0, 0), padding)))[None]
    log_weight = np.pad(np.full(n, -np.log(n)), padding, constant_values=NOTHING)
    group = np.zeros(log_weight.size, dtype=np.int64)
    own = np.full(len(queries), -1)
    log_sum, n_eff, entropy = log_sums(queries[None], own, y, group, log_weight, h**-2).T
    return log_sum - 0.5 * dim * np.log(2 * np.pi * h**2), n_eff, entropy


class TestDensity:
    @pytest.mark.parametrize("dim", [1, 6, 20, 30])
    @pytest.mark.parametrize("h", [0.15, 0.7, 3.0])
    def test_is_the_sum_over_all_pairs(self, dim, h):
        samples, queries = cloud(900, dim), cloud(40, dim, "queries")
        np.testing.assert_allclose(
            kde_logpdf(samples, queries, h), logsumexp(terms(samples, queries, h), axis=1), rtol=1e-10, atol=1e-10
        )

    @pytest.mark.parametrize("dim", [1, 2, 6])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_is_scipys(self, dim, weighted):
        samples = cloud(500, dim)
        weights = stream(0, "weights").exponential(size=500) if weighted else None
        peer = gaussian_kde(samples.T, weights=weights)
        ours = kde_logpdf(samples, samples[:60], peer.factor, weights)
        np.testing.assert_allclose(ours, peer.logpdf(samples[:60].T), rtol=1e-10, atol=1e-10)
        assert peer.factor == pytest.approx(scott(peer.neff, dim), rel=1e-12)
        assert gaussian_kde(samples.T, "silverman").factor == pytest.approx(silverman(500, dim), rel=1e-12)

    def test_counts_the_samples_that_carry_it(self):
        samples, queries = cloud(900, 4), cloud(20, 4, "queries")
        weights = stream(0, "weights").exponential(size=900)
        found = kde(samples, queries, 0.6, weights)
        w = terms(samples, queries, 0.6, weights)
        w = np.exp(w - logsumexp(w, axis=1, keepdims=True))
        np.testing.assert_allclose(found.n_eff, 1 / np.sum(w**2, axis=1), rtol=1e-9)
        np.testing.assert_allclose(found.entropy, np.sum(entr(w), axis=1), rtol=1e-9, atol=1e-12)
        assert np.all(found.n_shannon >= found.n_eff)
        assert np.median(found.n_eff) > 5

    def test_ends_of_the_counts(self):
        samples = cloud(1000, 3)
        wide, narrow = kde(samples, samples[:5], 1e6), kde(samples, samples[:5], 1e-4)
        np.testing.assert_allclose([wide.n_eff, wide.n_shannon], 1000, rtol=1e-9)
        np.testing.assert_allclose([narrow.n_eff, narrow.n_shannon], 1, rtol=1e-9)

    def test_density_sums_to_one(self):
        samples = stream(0, "unit").normal(size=(50, 2)) @ [[1, 0.8], [0, 0.6]]
        axis, step = np.linspace(-7, 7, 141, retstep=True)
        nodes = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        assert np.sum(np.exp(kde_logpdf(samples, nodes, 0.4))) * step**2 == pytest.approx(1, abs=1e-6)

    def test_keeps_the_digits_that_a_matrix_product_loses(self):
        """Two clusters 1e5 of their widths apart: |q|^2 + |y|^2 - 2 q.y has six digits left of what it had."""
        rng = stream(0, "clusters")
        samples = rng.normal(size=(400, 3)) + 1e5 * rng.integers(0, 2, size=(400, 1))
        queries, h = samples[:30] + 0.3, 1e-4
        expected = logsumexp(terms(samples, queries, h), axis=1)
        white = [(x - samples.mean(axis=0)) / samples.std(axis=0, ddof=1) for x in (queries, samples)]
        true, product = cdist(*white, "sqeuclidean"), -2 * white[0] @ white[1].T
        product += np.sum(white[0] ** 2, axis=1)[:, None] + np.sum(white[1] ** 2, axis=1)
        assert np.max(np.abs(product - true)) / (2 * h**2) > 1e-9
        # Whitening by the reference, in plain numbers, is itself right to eps times the reach, 1e5, of h.
        np.testing.assert_allclose(kde_logpdf(samples, queries, h), expected, atol=1e-6)

    @pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="no extended precision on this machine")
    @pytest.mark.parametrize("apart", [1e5, 1e8])
    def test_is_right_for_clusters_far_apart(self, apart):
        rng = stream(0, "far")
        samples = rng.normal(size=(300, 1)) + apart * rng.integers(0, 2, size=(300, 1))
        queries = samples[:30] + 0.25
        y = samples.astype(np.longdouble)
        sd = np.std(y, ddof=1)
        h = np.longdouble(float(0.5 / sd))
        exponents = -0.5 * ((queries - y.T) / (sd * h)) ** 2
        top = exponents.max(axis=1, keepdims=True)
        expected = top[:, 0] + np.log(np.sum(np.exp(exponents - top), axis=1))
        expected -= np.log(300 * h * sd * np.sqrt(2 * np.longdouble(np.pi)))
        np.testing.assert_allclose(
            kde_logpdf(samples, queries, float(h)), expected.astype(float), rtol=1e-10, atol=1e-10
        )

    def test_far_queries_do_not_underflow(self):
        samples = stream(0, "far queries").normal(size=(100, 25))
        queries = 1e6 * np.eye(25)[:2]
        np.testing.assert_allclose(
            kde_logpdf(samples, queries, 0.3), logsumexp(terms(samples, queries, 0.3), axis=1), rtol=1e-10
        )
        assert np.all(kde_logpdf(samples, queries, 0.3) < -1e10)
        assert kde_logpdf(samples, 1e200 * queries, 0.3).max() < -1e290

    def test_threads_and_batches_change_no_bit(self):
        samples, queries = cloud(1500, 9), cloud(77, 9, "queries")
        whole = kde(samples, queries, 0.5)
        threads = numba.get_num_threads()
        try:
            numba.set_num_threads(1)
            np.testing.assert_array_equal(kde_logpdf(samples, queries, 0.5), whole.logpdf)
        finally:
            numba.set_num_threads(threads)
        for part in (slice(0, 1), slice(20, 51), slice(70, None)):
            found = kde(samples, queries[part], 0.5)
            np.testing.assert_array_equal(found.logpdf, whole.logpdf[part])
            np.testing.assert_array_equal(found.n_eff, whole.n_eff[part])
            np.testing.assert_array_equal(found.entropy, whole.entropy[part])
        assert kde_logpdf(samples, queries[:0], 0.5).shape == (0,)


class TestEmpiricalDistribution:
    """The estimate depends on where the samples are and how much each counts, on nothing else."""

    @settings(max_examples=25)
    @given(st.integers(1, 6), st.integers(2, 60), st.integers(0, 999))
    def test_order_changes_no_bit(self, dim, n, seed):
        rng = stream(seed, "order")
        samples, weights = rng.normal(size=(n, dim)).round(1), rng.integers(1, 9, size=n)
        queries, order = rng.normal(size=(5, dim)), rng.permutation(n)
        if len(np.unique(samples, axis=0)) > 1:
            np.testing.assert_array_equal(
                kde_logpdf(samples, queries, 0.4, weights), kde_logpdf(samples[order], queries, 0.4, weights[order])
            )

    @settings(max_examples=25)
    @given(st.integers(1, 6), st.integers(0, 999))
    def test_maps_change_the_density_by_their_volume(self, dim, seed):
        rng = stream(seed, "map")
        samples, queries = rng.normal(size=(40, dim)), rng.normal(size=(6, dim))
        scale = 10.0 ** rng.integers(-5, 6, size=dim)
        matrix, shift = np.linalg.qr(rng.normal(size=(dim, dim)))[0] * scale, 3 * scale
        moved = kde(samples @ matrix + shift, queries @ matrix + shift, 0.6)
        plain = kde(samples, queries, 0.6)
        volume = np.linalg.slogdet(matrix)[1]
        np.testing.assert_allclose(moved.logpdf, plain.logpdf - volume, atol=1e-9)
        np.testing.assert_allclose(moved.n_eff, plain.n_eff, rtol=1e-9)

    @settings(max_examples=25)
    @given(st.integers(1, 5), st.integers(0, 999))
    def test_a_repeated_sample_counts_twice(self, dim, seed):
        rng = stream(seed, "repeat")
        samples, queries = rng.normal(size=(20, dim)), rng.normal(size=(6, dim))
        times = rng.integers(1, 4, size=20)
        repeated, weighted = kde(np.repeat(samples, times, axis=0), queries, 0.5), kde(samples, queries, 0.5, times)
        np.testing.assert_allclose(repeated.logpdf, weighted.logpdf, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(repeated.n_eff, weighted.n_eff, rtol=1e-10)

    def test_equal_weights_are_none_and_weights_of_zero_are_absent(self):
        samples, queries = cloud(50, 3), cloud(9, 3, "queries")
        plain = kde_logpdf(samples, queries, 0.5)
        np.testing.assert_allclose(kde_logpdf(samples, queries, 0.5, np.full(50, 1e-300)), plain, rtol=1e-12)
        more = np.concatenate([samples, queries])
        weights = np.concatenate([np.full(50, 0.1), np.zeros(9)])
        np.testing.assert_allclose(kde_logpdf(more, queries, 0.5, weights), plain, rtol=1e-12)

    def test_the_two_zeros_are_one(self):
        np.testing.assert_array_equal(
            kde_logpdf([0.0, -0.0, 1.0], [0.3], 0.5), kde_logpdf([0.0, 1.0], [0.3], 0.5, [2, 1])
        )


class TestDegenerate:
    def test_a_constant_column_is_left_out(self):
        samples, queries = cloud(200, 3), cloud(5, 3, "queries")
        fixed = np.insert(samples, 1, 0.1, axis=1)
        found = kde(fixed, np.insert(queries, 1, 0.1, axis=1), 0.5)
        np.testing.assert_allclose(found.logpdf, kde_logpdf(samples, queries, 0.5), rtol=1e-12)
        assert found.dim == 3
        assert np.all(kde_logpdf(fixed, np.insert(queries, 1, 0.1001, axis=1), 0.5) == -np.inf)

    def test_a_combination_of_columns_is_left_out(self):
        """On the line y = 2 x + 1 lengths are sqrt(5) times those in x."""
        x, q = stream(0, "line").normal(size=200), np.linspace(-2, 2, 5)
        found = kde(np.stack([x, 2 * x + 1], -1), np.stack([q, 2 * q + 1], -1), 0.5)
        assert found.dim == 1
        np.testing.assert_allclose(found.logpdf, kde_logpdf(x, q, 0.5) - 0.5 * np.log(5), rtol=1e-10)
        assert kde_logpdf(np.stack([x, 2 * x + 1], -1), [[0.0, 1.1]], 0.5) == -np.inf

    def test_narrow_directions_stay(self):
        rng = stream(0, "narrow")
        x, e = rng.normal(size=(2, 400))
        samples, queries = np.stack([x, x + 1e-9 * e], -1), np.stack([x[:9], x[:9] + 1e-9 * e[::-1][:9]], -1)
        assert kde(samples, queries, 0.5).dim == 2
        plain = kde_logpdf(np.stack([x, e], -1), np.stack([x[:9], e[::-1][:9]], -1), 0.5)
        np.testing.assert_allclose(kde_logpdf(samples, queries, 0.5), plain - np.log(1e-9), atol=1e-5)

    def test_fewer_samples_than_dimensions(self):
        assert kde(cloud(4, 10), cloud(1, 10), 1.0).dim == 3


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"samples": np.zeros((3, 2, 2))}, r"samples has one row a point: expected shape \(rows, dimensions\)"),
            (
                {"queries": [[1.0, 2.0, 3.0]]},
                r"queries has one row a point: expected shape \(rows, 2\), found \(1, 3\)",
            ),
            ({"queries": [[1.0, np.nan]]}, "queries, row 0: expected finite numbers"),
            ({"samples": [[1, 2], [np.inf, 3], [4, 5]]}, "samples, row 1: .* remove such rows"),
            ({"samples": [[1, 2], [1, 2]]}, "at least 2 different samples, found 1"),
            ({"samples": np.zeros((0, 2))}, "at least 2 different samples, found 0"),
            ({"h": 0.0}, "a bandwidth is a positive number, found h=0.0"),
            ({"h": np.nan}, "a bandwidth is a positive number"),
            ({"weights": [1, 2]}, r"expected shape \(3,\), found \(2,\)"),
            ({"weights": [1, -1, 1]}, "not negative"),
            ({"weights": [0, 0, 0]}, "one at least is positive"),
        ],
    )
    def test_says_what_is_wrong(self, arguments, message):
        usual = {"samples": [[0.0, 1.0], [2.0, 1.0], [3.0, 5.0]], "queries": [[0.0, 0.0]], "h": 0.5}
        with pytest.raises(ParameterError, match=message):
            kde_logpdf(**usual | arguments)


class TestThresholds:
    @pytest.mark.parametrize(
        ("alpha", "condensation", "clt", "optimal"),
        [
            (0.1, 1.3708, 1.9386, 1.0386),
            (0.2, 1.0457, 1.4788, 0.8917),
            (0.3, 0.8677, 1.2272, 0.7836),
            (0.5, 0.6521, 0.9223, 0.6224),
            (1.0, 0.3721, 0.5262, 0.3693),
            (2.0, 0.1354, 0.1914, 0.1353),
        ],
    )
    def test_table(self, alpha, condensation, clt, optimal):
        assert [h_condensation(alpha), h_clt(alpha), h_optimal(alpha)] == pytest.approx(
            [condensation, clt, optimal], abs=6e-5
        )

    @staticmethod
    def rate(lam):
        """lam phi' - phi from the exact E exp(-lam |x - y|^2 / 2) at |x|^2 = d, by differences."""

        def phi(lam):
            return -0.5 * np.log(1 + lam) - 0.5 * lam / (1 + lam)

        return lam * (phi(lam * (1 + 1e-5)) - phi(lam * (1 - 1e-5))) / (2e-5 * lam) - phi(lam)

    def test_are_where_the_rate_is_alpha(self):
        alpha = np.geomspace(1e-3, 12, 20)
        np.testing.assert_allclose(self.rate(1 / h_condensation(alpha) ** 2), alpha, rtol=1e-5)
        np.testing.assert_allclose(self.rate(2 / h_clt(alpha) ** 2), alpha, rtol=1e-5)

    def test_many_samples_condense_at_the_distance_of_the_nearest(self):
        np.testing.assert_allclose(h_condensation([8.0, 30.0]), np.exp([-8.0, -30.0]), rtol=1e-6)

    def test_optimum_is_condensed(self):
        alpha = np.geomspace(0.01, 5, 30)
        assert np.all(h_optimal(alpha) < h_condensation(alpha))

    def test_tail_index_tends_to_that_of_many_dimensions(self):
        h = 0.7 * h_condensation(0.3)
        off = [abs(tail_index(h, np.exp(0.3 * dim), dim) / 0.49 - 1) for dim in (20, 60, 200)]
        assert off[0] > off[1] > off[2]
        assert off[2] < 0.1

    def test_tail_index_in_twenty_dimensions(self):
        found = [1 - tail_index(factor * h_condensation(0.4), 2980, 20) for factor in (0.5, 0.7, 0.85)]
        assert found == pytest.approx([0.804, 0.616, 0.434], abs=1e-3)

    @pytest.mark.parametrize("alpha", [0.0, -1.0, np.inf, np.nan])
    def test_refuses_what_is_no_alpha(self, alpha):
        with pytest.raises(ParameterError, match="alpha"):
            h_condensation(alpha)


class TestIdentities:
    def test_empirical_rate_is_alpha_less_the_entropy(self):
        """I = lam phi' - phi of the sum over n samples is alpha - H/d at every lam, so it has no root."""
        samples, query = stream(0, "rate").normal(size=(500, 8)), np.ones((1, 8))

        def phi(lam):
            log_density = unwhitened(samples, query, lam**-0.5)[0]
            return (log_density - 4 * np.log(lam / (2 * np.pi))) / 8

        for lam in (0.3, 1.0, 4.0):
            slope = (phi(lam * 1.0001) - phi(lam * 0.9999)) / (2e-4 * lam)
            entropy = unwhitened(samples, query, lam**-0.5)[2]
            assert lam * slope - phi(lam) == pytest.approx((np.log(500) - entropy) / 8, abs=1e-6)


@pytest.fixture(scope="module")
def simulated():
    """The estimate at |x|^2 = d over its exact mean, N(x; 0, 1 + h^2), and N_eff, in many data sets, by h / h_G.

    The 20 axes in both directions are far enough apart that each data set counts for 40.
    """
    dim, n = 20, 2980
    queries = np.sqrt(dim) * np.concatenate([np.eye(dim), -np.eye(dim)])
    condensation = float(h_condensation(np.log(n) / dim))
    factors = (0.5, 0.7, 1.0, 1.2, np.sqrt(2), 1.8)
    found = np.empty((100, len(queries), len(factors), 2))
    rng = stream(1, "data sets")
    for one in found:
        samples = rng.normal(size=(n, dim))
        for k, factor in enumerate(factors):
            h = factor * condensation
            mean = -0.5 * dim * (np.log(2 * np.pi * (1 + h**2)) + 1 / (1 + h**2))
            log_density, n_eff, _ = unwhitened(samples, queries, h)
            one[:, k] = np.stack([np.exp(log_density - mean), n_eff], axis=-1)
    found = found.reshape(-1, len(factors), 2)
    return {factor: (found[:, k, 0], found[:, k, 1]) for k, factor in enumerate(factors)}


class TestRegimesAreSeen:
    """Tolerances are five standard errors or more, so that a false alarm has a probability below 1e-6."""

    def test_mean_is_exact(self, simulated):
        for factor, tolerance in ((np.sqrt(2), 0.035), (1.8, 0.01)):
            assert np.mean(simulated[factor][0]) == pytest.approx(1, abs=tolerance)

    @pytest.mark.parametrize(
        ("factor", "median", "tolerance"),
        [(1.0, 0.42, 0.06), (1.2, 0.80, 0.05), (np.sqrt(2), 0.949, 0.03), (1.8, 0.995, 0.013)],
    )
    def test_median_falls_below_the_mean_in_the_heavy_tail(self, simulated, factor, median, tolerance):
        assert np.median(simulated[factor][0]) == pytest.approx(median, abs=tolerance)

    @pytest.mark.parametrize("factor", [0.5, 0.7])
    def test_participation_ratio_below_condensation(self, simulated, factor):
        h = factor * float(h_condensation(np.log(2980) / 20))
        assert np.mean(1 / simulated[factor][1]) == pytest.approx(1 - tail_index(h, 2980, 20), abs=0.05)

    def test_few_samples_carry_it_below_condensation(self, simulated):
        n_eff = [np.median(simulated[factor][1]) for factor in (0.5, 0.7, 1.0, np.sqrt(2))]
        assert n_eff == sorted(n_eff)
        assert n_eff[0] < 2
        assert n_eff[-1] > 10


class TestLeaveOneOut:
    @pytest.mark.parametrize("dim", [1, 3, 12])
    def test_is_the_most_likely(self, dim):
        samples = cloud(150, dim)

        def loss(h):
            pairs = terms(samples, samples, h)
            np.fill_diagonal(pairs, -np.inf)
            return -np.mean(logsumexp(pairs, axis=1))

        expected = minimize_scalar(loss, bounds=(0.02, 2), method="bounded", options={"xatol": 1e-7}).x
        assert bandwidth_loo(samples) == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize(("dim", "optimum"), [(20, 0.80), (40, 0.95)])
    def test_finds_the_smallest_divergence(self, dim, optimum):
        """The optima of 300 data sets on a grid of step 0.05."""
        h = bandwidth_loo(stream(0, "divergence").normal(size=(2981, dim)))
        assert h == pytest.approx(optimum, abs=0.05)
        assert h > h_optimal(np.log(2981) / dim)

    def test_finds_the_better_of_two_maxima(self):
        """Pairs of close samples: one maximum at their distance, one at that of the pairs."""
        centres = np.linspace(0, 1, 60)
        for gap, narrow in ((1e-7, True), (3e-3, False)):
            samples = np.concatenate([centres, centres + gap])
            assert (bandwidth_loo(samples) < 1e-5) == narrow

    def test_weights_are_repeats(self):
        samples = stream(0, "weighted").normal(size=(80, 2))
        times = np.repeat([1, 3], 40)
        weighted = bandwidth_loo(samples, times)
        repeated = bandwidth_loo(np.repeat(samples, times, axis=0), blocks=np.repeat(np.arange(80), times))
        assert repeated == pytest.approx(weighted, rel=1e-6)
        assert bandwidth_loo(samples, np.full(80, 2.5)) == pytest.approx(bandwidth_loo(samples), rel=1e-6)

    def test_some_of_the_points_do_for_all(self):
        samples = stream(0, "some").normal(size=(1500, 4))
        assert bandwidth_loo(samples, points=300) == pytest.approx(bandwidth_loo(samples, points=1500), rel=0.1)

    @staticmethod
    def chain(rng, n=3000, move=0.3):
        """A Metropolis chain on a Gaussian: it repeats, and its neighbours are close."""
        chain = np.zeros((n, 2))
        for i in range(1, n):
            trial = chain[i - 1] + move * rng.normal(size=2)
            accepted = np.log(rng.random()) < 0.5 * (chain[i - 1] @ chain[i - 1] - trial @ trial)
            chain[i] = trial if accepted else chain[i - 1]
        return chain

    def test_refuses_the_repeats_of_a_chain(self):
        chain = self.chain(stream(0, "chain"), n=200)
        with pytest.raises(ParameterError, match=r"\d+ of 200 repeat another, .*: thin it .* or pass blocks="):
            bandwidth_loo(chain)

    def test_neighbours_of_a_chain_draw_h_down_and_blocks_hold_it(self):
        chain = self.chain(stream(0, "chain"))
        alone = bandwidth_loo(np.unique(chain, axis=0))
        in_blocks = bandwidth_loo(chain, blocks=np.arange(3000) // 300)
        assert in_blocks > 1.4 * alone
        assert 0.5 * scott(30, 2) < in_blocks < 2 * scott(30, 2)

    def test_says_what_is_wrong(self):
        samples = stream(0, "errors").normal(size=(9, 2))
        with pytest.raises(ParameterError, match="at least 2 blocks"):
            bandwidth_loo(samples, blocks=np.zeros(9))
        with pytest.raises(ParameterError, match=r"blocks has one label a sample: expected shape \(9,\), found \(3,\)"):
            bandwidth_loo(samples, blocks=[1, 2, 3])


class TestRegime:
    def test_counts_without_the_point_itself(self):
        samples = stream(0, "counts").normal(size=(200, 5))
        found = bandwidth_regime(samples, 0.5)
        order = np.argsort(samples[:, 0])
        pairs = terms(samples, samples, 0.5)
        np.fill_diagonal(pairs, -np.inf)
        w = np.exp(pairs - logsumexp(pairs, axis=1, keepdims=True))
        np.testing.assert_allclose(found.n_eff, (1 / np.sum(w**2, axis=1))[order], rtol=1e-9)
        np.testing.assert_allclose(found.share, 1 / 200)

    def test_verdicts(self):
        samples = stream(0, "verdicts").normal(size=(2981, 20))
        thresholds = bandwidth_regime(samples, 1.0)
        assert thresholds.alpha == pytest.approx(0.4, abs=1e-4)
        assert [thresholds.h_condensation, thresholds.h_clt] == pytest.approx([0.745, 1.054], abs=1e-3)
        few = bandwidth_regime(samples, scott(2981, 20))
        assert (few.verdict, few.typical_n_eff < 10, "do not trust it: fewer than 10" in str(few)) == (
            "condensed",
            True,
            True,
        )
        assert few.mu == pytest.approx((few.h / few.h_condensation) ** 2)
        assert few.mu_finite == tail_index(few.h, few.size, 20) < few.mu
        assert bandwidth_regime(samples, 0.9).verdict == "heavy-tailed"
        many = bandwidth_regime(samples, 1.4)
        assert (many.verdict, many.too_few, "do not trust" in str(many)) == ("CLT", 0.0, False)

    def test_the_count_assumes_no_gaussian(self):
        """Samples near a curve fill one dimension: more of them carry the estimate than of a Gaussian."""
        rng = stream(0, "curve")
        t = rng.uniform(0, 2 * np.pi, size=(2000, 1))
        curve = np.concatenate([np.sin(t * k) for k in range(1, 11)], axis=1) + 0.05 * rng.normal(size=(2000, 10))
        gaussian = rng.normal(size=(2000, 10))
        found = [bandwidth_regime(samples, 0.3) for samples in (curve, gaussian)]
        assert found[0].verdict == found[1].verdict == "condensed"
        assert found[0].typical_n_eff > 4 * found[1].typical_n_eff

    def test_repeats_and_blocks_are_left_out_together(self):
        samples = stream(0, "twice").normal(size=(300, 3))
        once = bandwidth_regime(samples, 0.3)
        twice = bandwidth_regime(np.tile(samples, (2, 1)), 0.3)
        np.testing.assert_allclose(twice.n_eff, once.n_eff, rtol=1e-9)
        near = np.concatenate([samples, samples + 1e-3])
        blocked = bandwidth_regime(near, 1e-3, blocks=np.tile(np.arange(300), 2), points=600)
        np.testing.assert_array_less(bandwidth_regime(near, 1e-3, points=600).n_eff, 1.01)
        h = 0.05
        alone, blocked = (bandwidth_regime(near, h, blocks=b, points=600) for b in (None, np.tile(np.arange(300), 2)))
        assert np.median(alone.n_eff) < np.median(blocked.n_eff)

    def test_some_of_the_points_do_for_all(self):
        rng = stream(0, "some")
        samples, weights = rng.exponential(size=(3000, 6)), rng.exponential(size=3000)
        some, every = (bandwidth_regime(samples, 0.5, weights, points=points) for points in (500, 3000))
        assert some.n_eff.size <= 500
        assert np.sum(some.share) == pytest.approx(1)
        assert some.typical_n_eff == pytest.approx(every.typical_n_eff, rel=0.2)
        assert some.too_few == pytest.approx(every.too_few, abs=0.1)

    def test_says_what_it_left_out(self):
        samples = np.insert(stream(0, "fixed").normal(size=(100, 2)), 1, 5.0, axis=1)
        found = bandwidth_regime(samples, 0.5)
        assert (found.dim, found.dropped) == (2, 1)
        assert "in 2 dimensions, 1 without spread left out" in str(found)

    def test_figure(self, tmp_path):
        for dim, h in ((1, 0.1), (40, 0.9)):
            found = bandwidth_regime(stream(0, "figure").normal(size=(500, dim)), h)
            plate = regimes(found)
            left, right = plate.figure.axes
            shown = {line.get_label(): line for line in left.lines}
            assert shown["this $h$"].get_xydata().tolist() == [[dim, h]]
            x, y = shown["$h_G$"].get_xydata().T
            assert np.interp(dim, x, y) == pytest.approx(found.h_condensation, rel=0.01)
            x, y = shown["Scott"].get_xydata().T
            assert np.interp(dim, x, y) == pytest.approx(scott(500, dim), rel=0.01)
            assert sum(bar.get_height() for bar in right.containers[0]) == pytest.approx(1)
            assert str(found) in plate.caption
        assert save(plate, tmp_path)[0].stat().st_size > 10_000


class TestGrid:
    @pytest.mark.parametrize("n", [2, 30, 5000])
    @pytest.mark.parametrize("h", [0.01, None])
    def test_is_the_sum_in_one_dimension(self, n, h):
        samples = 50 + 3 * stream(0, "grid").normal(size=n)
        grid = np.linspace(43, 55, 301)
        exact = np.exp(kde_logpdf(samples, grid, h or float(scott(n, 1))))
        np.testing.assert_allclose(kde_grid(samples, grid, h), exact, atol=2e-5 * exact.max())

    @pytest.mark.parametrize("rho", [0.0, 0.97])
    def test_is_the_sum_in_two_dimensions(self, rho):
        rng = stream(0, "grid 2")
        samples = rng.normal(size=(3000, 2)) @ [[1, rho], [0, np.sqrt(1 - rho**2)]] * [1, 200]
        weights = rng.exponential(size=3000)
        axes = np.linspace(-2.5, 3, 60), np.linspace(-500, 450, 45)
        density = kde_grid(samples, axes, 0.2, weights)
        nodes = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
        exact = np.exp(kde_logpdf(samples, nodes, 0.2, weights)).reshape(60, 45)
        np.testing.assert_allclose(density, exact, atol=2e-5 * exact.max())

    def test_integrates_to_one(self):
        grid, step = np.linspace(-8, 8, 200, retstep=True)
        density = kde_grid(stream(0, "one").normal(size=1000), grid)
        assert np.sum(density) * step == pytest.approx(1, abs=1e-6)
        assert np.all(density >= 0)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"samples": np.eye(3)}, "one or two parameters that vary, found 3"),
            ({"samples": [[0.0, 1.0], [1.0, 1.0]]}, "found 2, of which 1 vary"),
            ({"grid": [0.0, 1.0, 3.0]}, "rises in equal steps, found steps from 1.0 to 2.0"),
            ({"grid": [2.0, 1.0, 0.0]}, "rises in equal steps"),
            ({"grid": [2.0]}, "the grid of 1 parameter is one axis of 2 nodes or more"),
            ({"samples": np.eye(3)[:, :2], "grid": [0.0, 1.0, 2.0]}, "of 2 parameters is a pair of axes"),
            ({"h": 1e-9}, "too narrow: take a finer grid"),
            ({"h": -1.0}, "a bandwidth is a positive number"),
        ],
    )
    def test_says_what_is_wrong(self, arguments, message):
        with pytest.raises(ParameterError, match=message):
            kde_grid(**{"samples": [0.0, 1.0, 2.0], "grid": np.linspace(0, 1, 9)} | arguments)


def test_public_names():
    assert all(hasattr(package, name) for name in package.__all__)
