"""The executors behind `stats.parallel`: this process, processes of this machine, a Dask cluster, MPI."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from catalogs.errors import CatalogFileError, ParameterError
from catalogs.files import foreign_errors

__all__ = ("Workers", "open_executor")

P = ParamSpec("P")
T = TypeVar("T")

#: How long a Dask scheduler may take to answer [s].
TIMEOUT = 10
#: What numba and the BLAS libraries read, once, when they start.
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Workers(Executor):
    """An executor that tells how much it can do at once, and by what one sees that a worker was killed."""

    #: What a call raises that was with a worker when this was killed; the executor itself goes on.
    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)

    @property
    @abstractmethod
    def width(self) -> int:
        """How many calls run at the same time."""


class ThisProcess(Workers):
    """Runs a call when it is submitted."""

    @property
    def width(self) -> int:
        """One call at a time."""
        return 1

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the call; only Ctrl-C and the like are raised here, not in the future."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as exc:
            future.set_exception(exc)
        return future


class Processes(Workers):
    """Processes of this machine, each a pool of its own, so that one that is killed takes no other's work along.

    Parameters
    ----------
    jobs
        How many; each is told its share of the cores.
    """

    def __init__(self, jobs: int) -> None:
        self._environment = dict.fromkeys(THREADS, str(max(1, _cores() // jobs)))
        self._pools = [_one_process() for _ in range(jobs)]
        self._calls: list[list[Future[Any]]] = [[] for _ in range(jobs)]

    @property
    def width(self) -> int:
        """One call a process."""
        return len(self._pools)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand the call to the process with the least to do; one that was killed is started anew."""
        self._calls = [[call for call in calls if not call.done()] for calls in self._calls]
        k = min(range(self.width), key=lambda k: len(self._calls[k]))
        with _environment(self._environment):  # a process starts at its first call
            try:
                future = self._pools[k].submit(fn, *args, **kwargs)
            except BrokenExecutor:
                self._pools[k].shutdown(wait=False)
                self._pools[k] = _one_process()
                future = self._pools[k].submit(fn, *args, **kwargs)
        self._calls[k].append(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        for pool in self._pools:
            pool.shutdown(wait, cancel_futures=cancel_futures)


class Borrowed(Workers):
    """An executor of Dask or MPI.

    Parameters
    ----------
    executor
        Theirs.
    width
        Asks it how many workers there are; they may come and go.
    lost
        See `Workers`.
    """

    def __init__(self, executor: Executor, width: Callable[[], int], lost: type[BaseException]) -> None:
        self._executor, self._width, self.lost = executor, width, (lost,)

    @property
    def width(self) -> int:
        """One call a worker; the first may wait for workers that are still to come."""
        try:
            return max(1, self._width())
        except OSError as exc:  # nobody answers: the calls will never end either
            raise CancelledError from exc

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Pass the call on; as a partial, because Dask's executor takes some keywords for itself."""
        return self._executor.submit(partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of the workers; calls that run are not waited for where the others are cancelled."""
        self._executor.shutdown(wait and not cancel_futures)


@contextmanager
def open_executor(jobs: int = 1, *, dask: str | None = None, mpi: bool = False) -> Iterator[Workers]:
    """Open the workers that a run is shared among; the results never depend on which.

    Processes are spawned: a script that opens some needs ``if __name__ == "__main__":``. Each gets its share of the
    cores as threads of numba and BLAS. On leaving the block, calls are waited for; on leaving by an exception, those
    that have not begun are cancelled. Ctrl-C ends processes at once, and they end with this one if it is killed.

    Parameters
    ----------
    jobs
        Processes on this machine; with 1 all runs in this one.
    dask
        A Dask cluster: the address of its scheduler, ``tcp://host:8786``, or its scheduler file. The workers must have
        astrotk, and see the same files; a process with several threads still makes one shard at a time.
    mpi
        The ranks of ``mpiexec -n N python -m mpi4py.futures script.py``.

    Yields
    ------
    Workers
        A `concurrent.futures.Executor` that knows its `width`.

    Raises
    ------
    ParameterError
        For more than one of the three, fewer than one job, a package that is not installed, or a lack of MPI ranks.
    CatalogFormatError, CatalogFileError
        If no scheduler answers at the address within 10 s, or there is no such scheduler file.
    """
    if jobs < 1:
        message = f"jobs is a number of processes from 1 on, found {jobs}"
        raise ParameterError(message)
    if (jobs > 1) + (dask is not None) + mpi > 1:
        message = f"work is shared by one of jobs, dask and mpi, found jobs={jobs}, dask={dask}, mpi={mpi}"
        raise ParameterError(message)
    workers: Workers
    with ExitStack() as stack:
        if dask is not None:
            workers = stack.enter_context(_dask(dask))
        elif mpi:
            workers = _mpi()
        elif jobs > 1:
            workers = Processes(jobs)
        else:
            workers = ThisProcess()
        try:
            yield workers
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise
        workers.shutdown()


@contextmanager
def _dask(address: str) -> Iterator[Workers]:
    """Join a cluster for a while."""
    distributed = _optional("distributed", "dask")
    if "://" not in address and not Path(address).is_file():
        raise CatalogFileError(address, "there is no such scheduler file; an address is like tcp://host:8786")
    where = "address" if "://" in address else "scheduler_file"
    with foreign_errors(address, f"a Dask scheduler that answers within {TIMEOUT} s; is it running?"):
        client = distributed.Client(**{where: address}, timeout=TIMEOUT, set_as_default=False)
    with client:
        executor = client.get_executor(pure=False)  # or equal calls would become one
        yield Borrowed(executor, lambda: len(client.nthreads()), distributed.KilledWorker)


def _mpi() -> Workers:
    """Return the ranks of an MPI run but the first, which hands out the work."""
    futures = _optional("mpi4py.futures", "mpi")
    if _optional("mpi4py.MPI", "mpi").COMM_WORLD.size == 1:
        message = "MPI has one rank and so no worker: start with mpiexec -n N python -m mpi4py.futures SCRIPT, N > 1"
        raise ParameterError(message)
    executor = futures.MPIPoolExecutor()
    return Borrowed(executor, lambda: int(executor.num_workers), BrokenExecutor)


def _optional(name: str, extra: str) -> Any:
    """Import a module of an extra."""
    try:
        return import_module(name)
    except (ImportError, RuntimeError) as exc:  # the latter where mpi4py finds no MPI library
        message = f"{name} cannot be used ({exc}): pip install 'astrotk[{extra}]'"
        raise ParameterError(message) from exc


def _one_process() -> ProcessPoolExecutor:
    """Return a pool of one process; spawned, because forked threads of numba and CUDA are broken."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_follow_parent)


def _follow_parent() -> None:
    """Let Ctrl-C end this process without a traceback, and end with the parent, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_await_parent, daemon=True).start()


def _await_parent() -> None:
    """End when the parent has: without this, a process whose parent is killed waits for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that start in the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
