"""Fit dark-matter halos to rotation curves, and see how well they do.

The galaxies are made up, so the truth is known: each lives in an NFW halo. With real ones, the first cell would be

    curves = read_rotation_curves("Rotmod_LTG")

and the rest would stay as it is.
"""

# %% Six disk galaxies in NFW halos, observed with realistic errors
from astrotk.darkexp import PROFILES, fit_map
from astrotk.darkexp.figures import gallery
from astrotk.darkexp.mock import disks, observe
from stats.plots import save

template, log_m200 = disks(6, seed=1)
curves, truth = observe(template, PROFILES["NFW"], log_m200, seed=1)
print(f"{len(curves)} galaxies, {curves.r.size} points")

# %% Two halos for each: one with a cusp, one with a core
result = fit_map(curves, [PROFILES["NFW"], PROFILES["Burkert"]])
catalogue = result.tables["catalogue"]
shown = catalogue["galaxy", "profile", "chi2_red", "bic", "r_s_kpc", "log10_m200"]
shown.round(2)
shown.pprint(max_width=-1)

# %% Which halo wins, and is the mass right?
result.tables["summary"].pprint(max_width=-1)
nfw = catalogue[catalogue["profile"] == "NFW"]
for row, true in zip(nfw, truth, strict=True):
    print(
        f"{row['galaxy']}: log10 M200 = {row['log10_m200']:.2f} +- {row['log10_m200_err']:.2f}, "
        f"in truth {true['log10_m200']:.2f}"
    )

# %% The curves, and everything in one file for `astrotk report`
print(*save(gallery(result), "."))
result.write("rotation_curves.h5")
