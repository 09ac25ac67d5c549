"""Dark-matter halos from galaxy rotation curves."""

from astrotk.darkexp.evaluate import evaluate, read_parameters
from astrotk.darkexp.fit import fit_map
from astrotk.darkexp.posterior import fit_posterior
from astrotk.darkexp.profiles import PROFILES, Profile, check_profile, profile_named
from astrotk.darkexp.selection import Cuts
from catalogs.sparc import read_galaxy_table, read_rotation_curves

__all__ = (
    "PROFILES",
    "Cuts",
    "Profile",
    "check_profile",
    "evaluate",
    "fit_map",
    "fit_posterior",
    "profile_named",
    "read_galaxy_table",
    "read_parameters",
    "read_rotation_curves",
)
