from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.errors import ParameterError
from stats import resampling
from stats.resampling import bootstrap, bootstrap_interval, by_rows, jackknife, stream


def mean(data, weights):
    return weights @ data / weights.sum(axis=1, keepdims=data.ndim > 1)


def clustered(rng, groups=25, rows=6):
    """Rows that share a large offset within each group, and their labels."""
    values = np.repeat(rng.normal(size=groups), rows) + 0.3 * rng.normal(size=groups * rows)
    return values, np.repeat(np.arange(groups), rows)


def coverage(interval, draw, truth, trials=250):
    hits = 0
    for trial in range(trials):
        low, high = interval(*draw(stream(1, f"trial {trial}")), trial)
        hits += low <= truth <= high
    return hits / trials


class TestStream:
    def test_depends_on_seed_and_name_alone(self):
        alone = stream(5, "NGC 2403").random(4)
        stream(5, "another").random(100)
        np.testing.assert_array_equal(stream(5, "NGC 2403").random(4), alone)
        assert not np.isin(stream(5, "NGC 2404").random(4), alone).any()
        assert not np.isin(stream(6, "NGC 2403").random(4), alone).any()

    def test_is_the_same_on_every_machine(self):
        # PCG64 seeded with SeedSequence(5, spawn_key=<SHA-256 of the name as eight little-endian words>);
        # the words are those of `printf 'NGC 2403' | sha256sum`.
        words = [
            0x4B3E89DA,
            0xD96FD407,
            0x828342DE,
            0x1208D870,
            0xA62AE195,
            0xC2361B89,
            0x1722C5C0,
            0x5357DD6B,
        ]
        expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence(5, spawn_key=words))).random(3)
        np.testing.assert_array_equal(stream(5, "NGC 2403").random(3), expected)

    def test_streams_are_uncorrelated(self):
        draws = np.array([stream(0, f"object {i}").normal(size=2000) for i in range(20)])
        off_diagonal = np.corrcoef(draws)[np.triu_indices(20, 1)]
        assert np.abs(off_diagonal).max() < 5 / np.sqrt(2000)

    def test_refuses_a_negative_seed(self):
        with pytest.raises(ParameterError, match="from 0 on, found -1"):
            stream(-1, "x")


class TestBootstrap:
    def test_spread_is_that_of_the_plug_in_distribution(self):
        data = stream(0, "plug-in").exponential(size=60)
        draws = bootstrap(mean, data, n=20_000, seed=0)
        expected = data.std(ddof=0) / np.sqrt(len(data))
        assert draws.mean() == pytest.approx(data.mean(), abs=5 * expected / np.sqrt(20_000))
        assert draws.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * 20_000))

    def test_whole_groups_are_drawn(self):
        data, labels = clustered(stream(0, "groups"))
        draws = bootstrap(mean, data, n=20_000, seed=0, groups=labels)
        of_groups = data.reshape(25, 6).mean(axis=1)
        assert draws.std() == pytest.approx(of_groups.std(ddof=0) / 5, rel=0.03)

    def test_groups_of_unequal_size_keep_their_rows_together(self):
        labels = np.array(["a", "b", "b", "c", "c", "c"])

        def counts(data, weights):
            return weights

        draws = bootstrap(counts, np.zeros(6), n=200, seed=0, groups=labels)
        assert draws.shape == (200, 6)
        np.testing.assert_array_equal(draws[:, 1], draws[:, 2])
        np.testing.assert_array_equal(draws[:, 3], draws[:, 5])
        np.testing.assert_array_equal(draws[:, [0, 1, 3]].sum(axis=1), 3)

    def test_vector_statistics_share_their_draws(self):
        x = stream(0, "vector").normal(size=(40, 2))
        both = bootstrap(mean, x, n=300, seed=3)
        assert both.shape == (300, 2)
        for column in (0, 1):
            np.testing.assert_allclose(both[:, column], bootstrap(mean, x[:, column], n=300, seed=3), atol=1e-14)

    def test_a_function_of_rows_sees_the_same_draws(self):
        data = stream(0, "rows").normal(size=30)
        np.testing.assert_allclose(
            bootstrap(by_rows(np.mean), data, n=50, seed=1), bootstrap(mean, data, n=50, seed=1), atol=1e-14
        )
        medians = bootstrap(by_rows(np.median), data, n=50, seed=1)
        middle = np.sort(data)
        assert np.isin(medians, (middle[:, None] + middle) / 2).all()

    def test_batches_change_nothing(self, monkeypatch):
        data = stream(0, "batch").normal(size=30)
        whole = bootstrap(mean, data, n=101, seed=1)
        monkeypatch.setattr(resampling, "WEIGHTS_AT_A_TIME", 210)
        np.testing.assert_allclose(bootstrap(mean, data, n=101, seed=1), whole, atol=1e-14)

    def test_takes_the_stream_of_an_object(self):
        data = np.arange(9.0)
        one, same, other = (bootstrap(mean, data, n=9, seed=stream(0, name)) for name in "AAB")
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"data": [1.0]}, "at least 2 rows, found 1"),
            ({"groups": [1, 1, 1]}, "at least 2 groups, found 1"),
            ({"groups": [1, 2]}, r"expected shape \(3,\), found \(2,\)"),
            ({"n": 1}, "at least 2 draws, found n=1"),
            ({"statistic": lambda data, weights: data.mean()}, "see by_rows"),
        ],
    )
    def test_says_what_is_wrong(self, options, message):
        arguments = {"statistic": mean, "data": [1.0, 2.0, 3.0], "n": 10, "seed": 0} | options
        with pytest.raises(ParameterError, match=message):
            bootstrap(arguments.pop("statistic"), arguments.pop("data"), **arguments)


class TestInterval:
    """An interval of 80% must hold the truth in 80% of simulated data sets; planted mistakes must not."""

    tolerance = 3.5 * np.sqrt(0.8 * 0.2 / 250)

    @staticmethod
    def normal(rng):
        data = rng.normal(2.0, 1.0, size=80)
        return data, np.arange(80)

    @pytest.mark.parametrize("method", ["percentile", "bca"])
    def test_covers_the_mean_of_independent_rows(self, method):
        def interval(data, labels, seed):
            return bootstrap_interval(mean, data, n=400, seed=seed, level=0.8, method=method)

        assert coverage(interval, self.normal, 2.0) == pytest.approx(0.8, abs=self.tolerance)

    def test_covers_the_mean_of_grouped_rows(self):
        def interval(data, labels, seed):
            return bootstrap_interval(mean, data, n=400, seed=seed, groups=labels, level=0.8, method="percentile")

        assert coverage(interval, clustered, 0.0) == pytest.approx(0.8, abs=self.tolerance)

    def test_the_check_sees_forgotten_groups(self):
        def interval(data, labels, seed):
            return bootstrap_interval(mean, data, n=400, seed=seed, level=0.8, method="percentile")

        assert coverage(interval, clustered, 0.0) < 0.8 - 2 * self.tolerance

    def test_the_check_sees_a_wrong_level(self):
        def interval(data, labels, seed):  # alpha on each side, where half of it belongs
            return bootstrap_interval(mean, data, n=400, seed=seed, level=0.6, method="percentile")

        assert coverage(interval, self.normal, 2.0) < 0.8 - self.tolerance

    def test_bca_covers_a_skewed_statistic_better(self):
        """BCa is second-order accurate: for the mean of exponentials both tails are nearer to equal."""

        def misses(method):
            below = above = 0
            for trial in range(300):
                data = stream(2, f"skew {trial}").exponential(size=20)
                low, high = bootstrap_interval(mean, data, n=400, seed=trial, level=0.8, method=method)
                below, above = below + (high < 1), above + (low > 1)
            return below - above

        assert abs(misses("bca")) < abs(misses("percentile"))

    def test_is_scipys_for_plain_rows(self):
        from scipy import stats

        data = stream(0, "peer").exponential(size=40)
        low, high = bootstrap_interval(mean, data, n=999, seed=stream(1, "peer"), level=0.9)
        peer = stats.bootstrap((data,), np.mean, n_resamples=999, rng=stream(1, "peer"), confidence_level=0.9)
        np.testing.assert_allclose([low, high], peer.confidence_interval, rtol=1e-12)

    def test_keeps_the_shape_of_the_statistic(self):
        data = stream(0, "shape").normal(size=(30, 3))
        low, high = bootstrap_interval(mean, data, n=200, seed=0)
        assert low.shape == high.shape == (3,)
        assert (low < high).all()

    def test_equal_draws_have_no_bca_interval(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            low, high = bootstrap_interval(mean, np.ones(10), n=50, seed=0)
        assert np.isnan([low, high]).all()
        assert "DegenerateDataWarning" in {warning.category.__name__ for warning in caught}

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"level": 68}, "between 0 and 1, found 68"), ({"method": "basic"}, "'percentile', found 'basic'")],
    )
    def test_says_what_is_wrong(self, options, message):
        with pytest.raises(ParameterError, match=message):
            bootstrap_interval(mean, np.arange(9.0), n=10, seed=0, **options)


class TestJackknife:
    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30).map(np.array))
    def test_error_of_the_mean_is_the_closed_form(self, data):
        found = jackknife(mean, data)
        assert found.estimate == pytest.approx(data.mean(), abs=1e-9)
        assert found.bias == pytest.approx(0, abs=1e-7)
        assert found.error == pytest.approx(data.std(ddof=1) / np.sqrt(len(data)), abs=1e-7)

    def test_covariance_of_a_vector_mean_is_the_closed_form(self):
        data = stream(0, "covariance").normal(size=(50, 3)) @ [[1, 0.5, 0], [0, 1, 2], [0, 0, 1]]
        found = jackknife(mean, data)
        np.testing.assert_allclose(found.covariance, np.cov(data.T) / 50, atol=1e-14)
        assert found.error.shape == (3,)

    def test_equal_groups_give_the_error_of_the_group_means(self):
        data, labels = clustered(stream(0, "jackknife groups"))
        found = jackknife(mean, data, groups=labels)
        of_groups = data.reshape(25, 6).mean(axis=1)
        assert found.values.shape == (25,)
        assert found.error == pytest.approx(of_groups.std(ddof=1) / 5)
        assert found.error > 1.5 * jackknife(mean, data).error

    def test_removes_the_bias_of_the_plug_in_variance(self):
        def variance(data, weights):
            return mean(data**2, weights) - mean(data, weights) ** 2

        data = stream(0, "bias").normal(size=20)
        found = jackknife(variance, data)
        assert found.estimate - found.bias == pytest.approx(data.var(ddof=1))

    def test_batches_change_nothing(self, monkeypatch):
        data = stream(0, "batch").normal(size=30)
        whole = jackknife(mean, data).values
        monkeypatch.setattr(resampling, "WEIGHTS_AT_A_TIME", 210)
        np.testing.assert_allclose(jackknife(mean, data).values, whole, atol=1e-14)

    def test_says_what_is_wrong(self):
        with pytest.raises(ParameterError, match="at least 2 rows, found 1"):
            jackknife(mean, [1.0])
