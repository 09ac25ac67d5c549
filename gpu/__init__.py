"""Compiled kernels, each with a CPU and a GPU runner, and the formulas they share."""

import os

# Threads that wait for each other sleep. By default they spin, and where the cores are shared with other work, as on
# most machines, a step of many small kernels then takes ten times as long. Read once, when the first kernel runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
