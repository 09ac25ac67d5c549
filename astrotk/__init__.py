"""astrotk: seven published analyses of astrophysics and geoscience data, each a system for your own data.

Importing this package checks that its four siblings (`seismic`, `stats`, `gpu`, `catalogs`) are the ones that
were installed with it: their names are plain words, and a file of yours called ``stats.py`` would hide ours.
"""

from astrotk._siblings import check_siblings

__all__ = ["__version__"]

__version__ = "0.1.0"

check_siblings()
