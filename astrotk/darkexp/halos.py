"""What follows from a halo: its mass and concentration, the radius where its slope is -2, its inner slope."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from astrotk.darkexp.profiles import H0, PC3_PER_KPC3, G, Profile, root

__all__ = ("INNER_RADIUS", "derived", "halo_at_200")

Array = npt.NDArray[np.float64]

#: Where the inner slope is read off [kpc]: inside it even the best resolved dwarf galaxies have no points.
INNER_RADIUS = 0.15
#: Between these r200 / r_s is looked for.
CONCENTRATIONS = (1e-5, 1e6)


def halo_at_200(profile: Profile, r_s: Array, amplitude: Array, shape: Array) -> tuple[Array, Array]:
    """Find where the mean density is 200 times critical: V200 [km/s] and C200 = r200 / r_s; NaN where it never is.

    Parameters
    ----------
    profile
        The halo.
    r_s, amplitude
        (n,) scale radius [kpc] and 4 pi G rho_s r_s^2 [km^2 s^-2].
    shape
        (n, number of shape parameters).
    """

    def excess(log_c: Array, log_wanted: Array, *own: Array) -> Array:
        """Return the logarithm of the mean density over 200 times critical: it falls with c, and almost straight."""
        return np.asarray(np.log(profile.h(np.exp(log_c), *own)) - 3 * log_c - log_wanted)

    with np.errstate(divide="ignore", invalid="ignore"):
        log_wanted = np.log((10.0 * H0 * r_s) ** 2 / amplitude)
    c200 = np.exp(root(excess, *np.log(CONCENTRATIONS), log_wanted, *shape.T))
    return 10.0 * H0 * r_s * c200, c200


def derived(profile: Profile, r_s: Array, amplitude: Array, shape: Array) -> dict[str, Array]:
    """Return columns of the catalogue that follow from the halo alone, (n,) each.

    They are ``r_s_kpc, log10_rho_s`` [Msun/pc^3], ``v200`` [km/s], ``c200, log10_m200`` [Msun], ``r_minus2_kpc`` and
    ``v_minus2_kms``, where d ln rho / d ln r is -2 (NaN where it never is), and ``inner_slope``, the slope at
    `INNER_RADIUS`. Arguments as for `halo_at_200`.
    """
    v200, c200 = halo_at_200(profile, r_s, amplitude, shape)
    own = list(shape.T)
    x_minus2 = np.broadcast_to(profile.x_minus2(*own), r_s.shape)
    with np.errstate(invalid="ignore"):
        v_minus2 = np.sqrt(amplitude * profile.h(x_minus2, *own) / x_minus2)
    return {
        "r_s_kpc": r_s,
        "log10_rho_s": np.log10(amplitude / (4 * np.pi * G * r_s**2 * PC3_PER_KPC3)),
        "v200": v200,
        "c200": c200,
        "log10_m200": 3 * np.log10(v200) - math.log10(10 * G * H0),
        "r_minus2_kpc": r_s * x_minus2,
        "v_minus2_kms": v_minus2,
        "inner_slope": profile.slope(INNER_RADIUS / r_s, *own),
    }
