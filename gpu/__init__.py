"""Compiled kernels, each with a CPU and a GPU runner, and the formulas they share."""
