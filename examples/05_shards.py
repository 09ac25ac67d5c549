"""Many objects on many processes: cut into shards, interrupted, resumed; the bits do not depend on any of it.

The same call works on a Dask cluster, ``open_executor(dask="tcp://host:8786")``, and under MPI.
"""

# %% A survey; a real one would be a file, and its SHA-256 part of the fingerprint below
import numpy as np
from astropy.table import vstack

from astrotk.darkexp import PROFILES, fit_map
from astrotk.darkexp.mock import disks, observe
from catalogs.result import Result
from stats.parallel import open_executor, run_shards, split, surviving

SEED, GALAXIES = 5, 60


def survey():
    template, log_m200 = disks(GALAXIES, seed=SEED)
    return observe(template, PROFILES["NFW"], log_m200, seed=SEED)[0]


# %% A task reads its own rows and writes its own file; a galaxy that fails would not sink the others
def fit_shard(rows, path):
    start, stop = rows
    curves = survey()
    results, failures = surviving(lambda some: fit_map(curves.select(some), [PROFILES["NFW"]]), np.arange(start, stop))
    catalogue = vstack([result.tables["catalogue"] for _, result in results], metadata_conflicts="silent")
    for galaxy, reason in failures:
        print(f"{curves.name[galaxy]}: {reason}")
    Result("darkexp", {"catalogue": catalogue}).write(path)
    return len(catalogue)


# %% Processes import this file again, so what starts them stands below this line
if __name__ == "__main__":
    fingerprint = {"seed": SEED, "galaxies": GALAXIES, "profile": "NFW"}
    shards = {f"{name}.h5": (part.start, part.stop) for name, part in split(range(GALAXIES), 10)}
    print(f"{len(shards)} shards: {', '.join(shards)}")

    # %% Ctrl-C, a kill or a full disk leaves what is finished; here, half of the shards
    half = dict(list(shards.items())[:3])
    with open_executor() as workers:
        report = run_shards(fit_shard, half, "run", workers, fingerprint=fingerprint)
    print(f"{report.objects} galaxies fitted, then interrupted")

    # %% The same call with resume, now on two processes; another seed or profile would be refused
    with open_executor(jobs=2) as workers:
        report = run_shards(fit_shard, shards, "run", workers, fingerprint=fingerprint, resume=True)
    print(f"{report.objects} galaxies in {len(report.paths)} shards, {report.kept} of these from before")

    # %% One catalogue, in the order of the survey, and the same as in one go
    catalogue = vstack([Result.read(path).tables["catalogue"] for path in report.paths], metadata_conflicts="silent")
    whole = fit_map(survey(), [PROFILES["NFW"]]).tables["catalogue"]
    same = all(np.array_equal(catalogue[name], whole[name]) for name in ("galaxy", "chi2", "r_s_kpc", "log10_rho_s"))
    print(f"the same bits as without shards: {same}")
