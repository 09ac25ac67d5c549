"""Statistics shared by every system: targets, priors, samplers, calibration, resampling, shards, plot style."""

import gpu as gpu  # which decides how the threads of compiled loops wait
