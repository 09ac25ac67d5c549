"""Draw from the posteriors of dark-matter halos, and see what is known and what is not.

The galaxies are made up, so the truth is known: each lives in a DARKexp halo.
"""

# %% Four disk galaxies in DARKexp halos
from astrotk.darkexp import PROFILES, fit_posterior
from astrotk.darkexp.figures import corners
from astrotk.darkexp.mock import disks, observe
from stats.plots import save

template, log_m200 = disks(4, seed=5)
curves, truth = observe(template, PROFILES["DARKexp"], log_m200, seed=5)

# %% Two halos for each; a fit that has not converged by max_steps says so
result = fit_posterior(curves, [PROFILES["DARKexp"], PROFILES["NFW"]], seed=5, max_steps=4096)
catalogue = result.tables["catalogue"]
catalogue["galaxy", "profile", "ess", "rhat", "converged", "at_bound", "delta_bic"].pprint(max_width=-1)

# %% The shape parameter, with the truth
for row, true in zip(catalogue[catalogue["profile"] == "DARKexp"], truth, strict=True):
    low, middle, high = (row[f"phi0_{end}"] for end in ("p16", "p50", "p84"))
    interval = f"{middle:.2f} (+{high - middle:.2f} -{middle - low:.2f})"
    print(f"{row['galaxy']}: phi0 = {interval}, in truth {true['phi0']:.2f}")

# %% All parameters of one galaxy, and everything in one file
print(*save(next(corners(result, curves.name[0])), "."))
result.write("posteriors.h5")
