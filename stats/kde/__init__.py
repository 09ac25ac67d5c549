"""Kernel density estimates in one to many dimensions, which say how many samples they rest on."""

from stats.kde.bandwidth import bandwidth_loo, scott, silverman
from stats.kde.density import Density, kde, kde_logpdf
from stats.kde.grid import kde_grid
from stats.kde.regime import Regime, bandwidth_regime, h_clt, h_condensation, h_optimal, tail_index

__all__ = (
    "Density",
    "Regime",
    "bandwidth_loo",
    "bandwidth_regime",
    "h_clt",
    "h_condensation",
    "h_optimal",
    "kde",
    "kde_grid",
    "kde_logpdf",
    "scott",
    "silverman",
    "tail_index",
)
