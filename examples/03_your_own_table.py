"""Fit your own galaxies, from a table with names and units of your own.

The table has one row a point. Velocities of the stars are those for a mass-to-light ratio of 1.
"""

# %% A CSV file as a colleague might send it: radii in pc, velocities in m/s
import numpy as np
from astropy import units as u
from astropy.table import Table

from astrotk.darkexp import PROFILES, fit_map, read_galaxy_table, read_rotation_curves
from astrotk.darkexp.mock import disks, observe

template, log_m200 = disks(2, seed=3)
mock, _ = observe(template, PROFILES["NFW"], log_m200, seed=3)
Table(
    {
        "object": np.repeat(mock.name, mock.n_points),
        "dist": np.repeat(mock.distance, mock.n_points),
        "radius_pc": 1e3 * mock.r,
        "vrot": 1e3 * mock.v_obs,
        "verr": 1e3 * mock.e_v_obs,
        "v_HI": 1e3 * mock.v_gas,
        "v_star": 1e3 * mock.v_disk,
    }
).write("colleague.csv", overwrite=True)

# %% CSV has no place for units, so write them down once, in ECSV; a column without a unit is in kpc or km/s
table = Table.read("colleague.csv")
table["dist"].unit = u.Mpc
table["radius_pc"].unit = u.pc
for name in ("vrot", "verr", "v_HI", "v_star"):
    table[name].unit = u.m / u.s
table.write("galaxies.ecsv", overwrite=True)

# %% What is known of each galaxy; without it, distance and inclination are held fixed
Table(
    {
        "galaxy": mock.name,
        "distance": mock.distance,
        "e_distance": mock.galaxies.e_distance,
        "inclination": mock.galaxies.inclination,
        "e_inclination": mock.galaxies.e_inclination,
    }
).write("properties.csv", overwrite=True)
print(read_galaxy_table("properties.csv").name)

# %% Read with the names mapped (ours first; "object", "dist" and "vrot" are known), and fit
columns = {"r": "radius_pc", "e_v_obs": "verr", "v_gas": "v_HI", "v_disk": "v_star"}
curves = read_rotation_curves("galaxies.ecsv", "properties.csv", column_map=columns)
print(f"{curves.name}: {curves.n_points} points out to {curves.r[curves.first[1:] - 1].round(1)} kpc")
for left_out in curves.rejected:
    print(left_out)

result = fit_map(curves, [PROFILES["pISO"]])
shown = result.tables["catalogue"]["galaxy", "n_points", "chi2_red", "r_s_kpc", "log10_rho_s"]
shown.round(2)
shown.pprint(max_width=-1)
result.write("fits.ecsv", table="catalogue")

# %% The same from the command line:
#
#     astrotk darkexp fit galaxies.ecsv --galaxies properties.csv --profiles pISO --map r=radius_pc
#         --map e_v_obs=verr --map v_gas=v_HI --map v_disk=v_star --out fits
