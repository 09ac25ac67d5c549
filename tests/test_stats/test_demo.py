from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.errors import ParameterError
from stats.demo import chi_square_p, limit, passed, verdicts
from stats.resampling import stream


def truth_table(recovered, error, truth=0.0):
    rows = [("A", "x", "kpc", truth, value, bar) for value, bar in zip(recovered, error, strict=True)]
    names = ("object", "quantity", "unit", "truth", "recovered", "error")
    return Table(rows=rows, names=names, dtype=(str, str, str, float, float, float))


class TestVerdicts:
    def test_each_case(self):
        table = verdicts(truth_table([2.9, -3.5, 1.0, 1.0, np.nan, 1.0], [1.0, 1.0, 0.0, np.nan, 1.0, np.inf]))
        assert list(table["verdict"]) == [
            "recovered",
            "missed",
            "no error bar",
            "no error bar",
            "missed",
            "no error bar",
        ]
        np.testing.assert_allclose(table["pull"], [2.9, -3.5, np.nan, np.nan, np.nan, np.nan])

    def test_the_limit_keeps_the_chance_of_a_false_alarm(self):
        assert limit(1) == pytest.approx(3.0, abs=1e-3)
        n = 200
        pulls = np.random.default_rng(5).standard_normal((4000, n))
        alarms = np.mean(np.any(np.abs(pulls) > limit(n), axis=1))
        assert 0.0005 < alarms < 0.006

    def test_masked_error_is_no_error_bar(self):
        table = Table(truth_table([1.0, 1.0], [1.0, 1.0]), masked=True)
        table["error"].mask = [False, True]
        assert list(verdicts(table)["verdict"]) == ["recovered", "no error bar"]

    @settings(max_examples=50)
    @given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
    def test_a_change_of_unit_changes_no_pull(self, truth, recovered, error, unit):
        plain = verdicts(truth_table([recovered], [error], truth))
        scaled = verdicts(truth_table([recovered * unit], [error * unit], truth * unit))
        assert scaled["pull"][0] == pytest.approx(plain["pull"][0], rel=1e-6, abs=1e-6)

    def test_leaves_its_argument_alone(self):
        table = truth_table([1.0], [1.0])
        verdicts(table)
        assert "pull" not in table.colnames

    def test_names_a_missing_column(self):
        table = truth_table([1.0], [1.0])
        table.remove_column("unit")
        with pytest.raises(ParameterError, match="unit is missing"):
            verdicts(table)


class TestPulls:
    def test_probability_is_uniform_for_honest_errors(self):
        rng = stream(0, "honest pulls")
        found = [chi_square_p(verdicts(truth_table(rng.normal(size=12), np.ones(12)))) for _ in range(400)]
        assert np.mean(found) == pytest.approx(0.5, abs=4 / np.sqrt(12 * 400))

    @pytest.mark.parametrize("factor", [0.25, 4.0])
    def test_sees_error_bars_of_the_wrong_size(self, factor):
        table = verdicts(truth_table(stream(1, "pulls").normal(size=20), np.full(20, factor)))
        assert chi_square_p(table) < 1e-4
        assert not passed(table)

    def test_without_error_bars_there_is_none(self):
        table = verdicts(truth_table([1.0], [np.nan]))
        assert np.isnan(chi_square_p(table))
        assert not passed(table)


class TestPassed:
    def test_a_good_set(self):
        assert passed(verdicts(truth_table([0.5, -1.2, 2.0, 1.0], [1.0, 1.0, 1.0, np.nan])))

    def test_one_missed_is_enough_to_fail(self):
        assert not passed(verdicts(truth_table([0.5, -1.2, 3.5], [1.0, 1.0, 1.0])))

    def test_nothing_shown_is_not_a_pass(self):
        assert not passed(verdicts(truth_table([], [])))
