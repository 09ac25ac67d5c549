"""Tasks of test_parallel.py: workers are other processes, and import them by this name."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from numba import config, njit, prange

from stats.parallel import open_executor, run_shards, split
from stats.resampling import stream

NAMES = [f"object {k}" for k in range(40)]
FINGERPRINT = {"seed": 7, "settings": {"size": 4, "prior": "flat"}}


@njit(parallel=True, cache=True)
def norms(rows):
    out = np.empty(rows.shape[0])
    for i in prange(rows.shape[0]):
        total = 0.0
        for x in rows[i]:
            total += x * x
        out[i] = np.sqrt(total)
    return out


def draw(names, path):
    """A number for each object, from its own stream, through a kernel with threads."""
    np.save(path, norms(np.stack([stream(7, name).normal(size=100) for name in names])))
    return len(names)


def deadly(argument, path):
    """Kill the process in the midst of a file, as often as there is a marker to remove."""
    names, markers = argument
    for marker in markers:
        try:
            Path(marker).unlink()
        except FileNotFoundError:
            continue
        path.write_bytes(b"half a shard")
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(names, path)


def slow(argument, path):
    """Leave a process id, and time to kill something."""
    names, folder = argument
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(0.3)
    return draw(names, path)


def threads(_):
    return config.NUMBA_NUM_THREADS, os.environ["OPENBLAS_NUM_THREADS"], os.getpid()


def shards():
    return {f"{name}.npy": NAMES[part] for name, part in split(NAMES, FINGERPRINT["settings"]["size"])}


if __name__ == "__main__":
    kind, folder, pids = sys.argv[1:]
    with open_executor(mpi=True) if kind == "mpi" else open_executor(2) as workers:
        arguments = {name: (names, pids) for name, names in shards().items()}
        try:
            report = run_shards(slow, arguments, folder, workers, fingerprint=FINGERPRINT)
        except KeyboardInterrupt:
            sys.exit("interrupted")
    sys.stdout.write(f"{report.objects} objects, failed: {report.failed}\n")
