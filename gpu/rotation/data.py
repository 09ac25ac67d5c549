"""What the rotation kernels read: the observed curves of many galaxies end to end, and the constants."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ("Constants", "Curves")


class Curves(NamedTuple):
    """The observed curves of N galaxies, P points in all, as float64 arrays.

    Parameters
    ----------
    first
        (N + 1,) int64: galaxy i owns the points ``first[i]:first[i + 1]``.
    r
        (P,) radius at the tabulated distance [kpc], > 0.
    gas, disk, bulge
        (P,) signed squares V|V| of the baryonic velocities at M/L = 1 [km^2 s^-2].
    v_obs, weight
        (P,) observed velocity [km/s] and the inverse of its error.
    galaxy
        (N, 5) D0 [Mpc], i0 [deg], R_eff [kpc], disk and bulge luminosity [1e9 Lsun].
    """

    first: Any
    r: Any
    gas: Any
    disk: Any
    bulge: Any
    v_obs: Any
    weight: Any
    galaxy: Any


class Constants(NamedTuple):
    """The constants of nature and of convention, and DARKexp.

    DARKexp has no closed form: ln V^2 in units of V(``r_-2``), over phi0 and ln(r / ``r_-2``), is a uniform cubic
    B-spline.

    Parameters
    ----------
    g
        The gravitational constant [kpc km^2 s^-2 Msun^-1].
    h0
        The Hubble constant [km/s/kpc].
    core_age
        0.04 times the 14 Gyr of star formation of coreNFW, in kpc/(km/s).
    phi0_first, phi0_step, x_first, x_step
        The nodes of the spline in phi0 and in ln(r / ``r_-2``).
    coefficients
        (nodes in phi0 + 2, nodes in ln(r / ``r_-2``) + 2) float64; from node i to i + 1 those from i to i + 3 count.
    """

    g: float
    h0: float
    core_age: float
    phi0_first: float
    phi0_step: float
    x_first: float
    x_step: float
    coefficients: Any
