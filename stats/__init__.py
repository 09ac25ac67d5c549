"""Statistics shared by every system: targets, priors, optimisation, resampling, plot style."""
