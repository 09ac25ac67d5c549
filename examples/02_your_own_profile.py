"""Fit a halo profile of your own.

A profile is its dimensionless density. Give the mass too where it has a closed form; otherwise it is integrated.
The one here is DARKexp-gamma (Hjorth et al. 2015, ApJ 811, 2), with its inner slope as a free shape parameter.
"""

# %% The profile: density, mass, and the range of its shape parameter
from astrotk.darkexp import PROFILES, Profile, check_profile, fit_map
from astrotk.darkexp.figures import comparison
from astrotk.darkexp.mock import disks, observe
from stats.plots import save

darkexp_gamma = Profile(
    "DARKexp-gamma",
    rho_hat=lambda x, gamma: x**-gamma * (1 + x) ** (gamma - 4),
    mass_hat=lambda x, gamma: (x / (1 + x)) ** (3 - gamma) / (3 - gamma),
    shape={"gamma": (0.0, 1.8)},
)

# %% Is it consistent with itself? A wrong formula stops here, and is told where
check_profile(darkexp_gamma)

# %% Fit it as any other
template, log_m200 = disks(3, seed=2)
curves, _ = observe(template, PROFILES["NFW"], log_m200, seed=2)
result = fit_map(curves, [darkexp_gamma, PROFILES["NFW"], PROFILES["Burkert"]])
catalogue = result.tables["catalogue"]
shown = catalogue["galaxy", "profile", "n_free", "chi2_red", "bic", "gamma", "gamma_err"]
shown.round(2)
shown.pprint(max_width=-1)

# %% And compare
result.tables["summary"].pprint(max_width=-1)
print(*save(comparison(result), "."))
