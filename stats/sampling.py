"""One posterior after the other with emcee: any move, whole chains on disk, runs that can be killed and resumed.

For many objects `stats.batch` does the same in a fraction of the time; this is the reference, and the place for single
fits and for moves of one's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from catalogs.errors import CatalogFileError, CatalogFormatError, ParameterError
from stats._checkpoint import Block, append, create, read_blocks, read_identity
from stats.diagnostics import Diagnosis, Gate, diagnose, quick
from stats.posterior import Posteriors, at_bound
from stats.resampling import stream
from stats.starts import starting_points
from stats.target import Target

if TYPE_CHECKING:
    from emcee.moves import Move

__all__ = ("Chains", "checkpoint_file", "read_checkpoint", "sample")

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Steps of every ensemble that are judged and returned, evenly spaced over the second half of the run.
KEPT = 256
#: After each look at a run it grows by this share before the next.
GROWTH = 0.25
#: A run whose plain R-hat exceeds 1 by so many times what the gate allows is not judged in full.
HOPELESS = 2.0
#: On Gaussian, curved, cut-off, heavy-tailed and double posteriors the best, or near it; a stretch move alone falls
#: behind by factors of 2 to 40.
MOVES = (("de", 0.8), ("snooker", 0.2))
#: Relative difference up to which a likelihood counts as the one that a checkpoint was made with.
SAME = 1e-6


def sample(
    target: Target,
    *,
    seed: int = 0,
    objects: Indices | None = None,
    ensembles: int = 4,
    walkers: int | None = None,
    moves: Any = MOVES,
    gate: Gate | None = None,
    max_steps: int = 2**14,
    start: Array | None = None,
    checkpoint: str | PathLike[str] | None = None,
    resume: bool = False,
    block: int = 128,
    progress: Callable[[str], Any] | None = None,
) -> Posteriors:
    """Sample posteriors with emcee until each passes the gate.

    Parameters
    ----------
    target
        The posteriors.
    seed
        Of the run; every ensemble of every object has a stream of its own.
    objects
        Indices of those to sample; all of them by default.
    ensembles
        Independent ensembles an object. A single one can be long, but not converged by comparison.
    walkers
        In each ensemble, even; by default 32, or four a parameter where that is more.
    moves
        ``"stretch"``, ``"de"``, ``"snooker"``, ``"walk"``, a move of emcee, or a list of these, or of pairs
        ``(move, weight)``; by default mostly differential and some snooker moves.
    gate
        What counts as converged.
    max_steps
        After which an object is given up, and says so in its diagnosis; rounded up to whole blocks.
    start
        (object, ensemble, walker, dim): where to begin; by default `stats.starts.starting_points`.
    checkpoint
        A folder for the chains, one file an object (`checkpoint_file`), which `read_checkpoint` reads.
    resume
        Go on from what `checkpoint` holds. The end is the same, to the last bit, as without the interruption.
    block
        Steps between two entries of the checkpoint, and at least between two looks at the convergence.
    progress
        Called with the name of each object when it is finished.

    Returns
    -------
    Posteriors
        In the order of `objects`; 256 steps of all walkers each.

    Raises
    ------
    ParameterError
        If there is nothing to sample, nowhere to start from, or an argument makes no sense.
    CatalogFileError
        If a checkpoint cannot be read or written, or is there and `resume` was not asked for.
    CatalogFormatError
        If a checkpoint is damaged, or of another run.
    """
    from stats._emcee import choose

    objects = target.everything() if objects is None else np.asarray(objects, dtype=np.int64)
    gate = Gate() if gate is None else gate
    walkers = max(32, 4 * target.dim) if walkers is None else walkers
    _check(target, objects, ensembles, walkers, max_steps, block)
    if resume and checkpoint is None:
        message = "a run can only be resumed from a checkpoint: name its folder"
        raise ParameterError(message)
    shape, runs = (ensembles, walkers, target.dim), []
    for k in range(objects.size):
        begin = None if start is None else start[k]
        run = _Run(target, objects[k : k + 1], seed, shape, choose(moves), block, begin)
        if checkpoint is not None:
            run.keep_in(checkpoint_file(checkpoint, run.name), resume)
        runs.append(_finish(run, gate, max_steps))
        if progress is not None:
            progress(run.name)
    return _posteriors(target, objects, ensembles, runs)


def _check(target: Target, objects: Indices, ensembles: int, walkers: int, max_steps: int, block: int) -> None:
    fewest = max(2 * target.dim, 8)
    if objects.size == 0:
        message = "there is nothing to sample: the target has no objects"
    elif walkers < fewest or walkers % 2:
        message = f"walkers must be even and at least {fewest} for {target.dim} parameters, found {walkers}"
    elif ensembles < 1 or block < 1:
        message = f"ensembles and block are at least 1, found {ensembles} and {block}"
    elif max_steps < 2 * KEPT:
        message = f"max_steps must be at least {2 * KEPT}, found {max_steps}"
    else:
        return
    raise ParameterError(message)


@dataclass
class _Run:
    """The ensembles of one object, advanced block by block."""

    target: Target
    index: Indices
    seed: int
    shape: tuple[int, int, int]
    moves: list[tuple[Move, float]]
    block: int
    start: Array | None
    blocks: list[Block] = field(default_factory=list)
    path: Path | None = None

    def __post_init__(self) -> None:
        self.name = self.target.objects[self.index[0]]
        self.identity = self._identity()

    @property
    def steps(self) -> int:
        return len(self.blocks) * self.block

    def logpost(self, theta: Array) -> Array:
        return np.asarray(self.target.logpost(theta[None], self.index)[0])

    def keep_in(self, path: Path, resume: bool) -> None:
        """Write every block to a file from now on, and take up those that are there."""
        self.path = path
        if not path.exists():
            return
        if not resume:
            raise CatalogFileError(path, "holds a run already; resume it, or name another folder")
        _compare(path, self.identity, read_identity(path))
        self.blocks = read_blocks(path)
        last = self.blocks[-1]
        if last.chain.shape != (self.block, *self.shape):
            raise CatalogFormatError(path, f"blocks of shape {(self.block, *self.shape)}", f"{last.chain.shape}")
        now = np.array([self.logpost(theta) for theta in last.chain[-1]])
        if not np.allclose(now, last.logpost[-1], rtol=SAME, atol=SAME):
            worst = np.unravel_index(np.argmax(np.abs(now - last.logpost[-1])), now.shape)
            expected, found = f"ln posterior {last.logpost[-1][worst]:.8g} where it ended", f"{now[worst]:.8g}"
            raise CatalogFormatError(path, expected, f"{found}: the data or the model are others; start anew")

    def _identity(self) -> dict[str, Any]:
        """Return all that the numbers of a chain depend on, but for the likelihood."""
        from stats._emcee import describe

        ensembles, walkers, _ = self.shape
        return {
            "object": self.name,
            "parameters": list(self.target.names),
            "priors": _digest(*self._prior_numbers()),
            "seed": self.seed,
            "moves": describe(self.moves),
            "ensembles": ensembles,
            "walkers": walkers,
            "block": self.block,
            "start": "prior" if self.start is None else _digest(self.start),
        }

    def _prior_numbers(self) -> list[Array]:
        quantiles = np.repeat(np.linspace(0.05, 0.95, 7)[None, :, None], self.target.dim, axis=2)
        theta = self.target.transform(quantiles, self.index)
        return [theta, self.target.logprior(theta, self.index), *self.target.support(self.index)]

    def advance(self) -> None:
        """Do one block of steps."""
        import emcee

        begin, logpost = self._ends() if self.blocks else self._begin()
        ensembles, walkers, dim = self.shape
        backends = []
        for k in range(ensembles):
            sampler = emcee.EnsembleSampler(walkers, dim, self.logpost, moves=self.moves, vectorize=True)
            key = stream(self.seed, f"emcee/{self.name}/{k}/{len(self.blocks)}")
            random = np.random.RandomState(key.integers(2**32, size=8)).get_state()
            state = emcee.State(begin[k], log_prob=logpost[k], random_state=random)
            sampler.run_mcmc(state, self.block, skip_initial_state_check=True)
            backends.append(sampler.backend)
        block = Block(
            np.stack([backend.chain for backend in backends], axis=1),
            np.stack([backend.log_prob for backend in backends], axis=1),
            np.stack([backend.accepted for backend in backends]).astype(np.int64),
        )
        if self.path is not None:
            if self.blocks:
                append(self.path, len(self.blocks), block)
            else:
                create(self.path, self.identity, [block])
        self.blocks.append(block)

    def _ends(self) -> tuple[Array, Array]:
        return self.blocks[-1].chain[-1], self.blocks[-1].logpost[-1]

    def _begin(self) -> tuple[Array, Array]:
        ensembles, walkers, _ = self.shape
        begin = self.start
        if begin is None:
            found = starting_points(self.target, self.index, seed=self.seed, ensembles=ensembles, walkers=walkers)
            begin = found[0]
        if begin.shape != self.shape:
            message = f"'{self.name}' starts from points of shape {self.shape}, found {begin.shape}"
            raise ParameterError(message)
        logpost = np.array([self.logpost(theta) for theta in begin])
        if not np.all(np.isfinite(logpost)):
            message = f"'{self.name}' cannot start where the posterior is zero: check the data, prior and start"
            raise ParameterError(message)
        return begin, logpost

    def second_half(self) -> tuple[Array, Array, int]:
        """Return the kept steps of the chain and their ln posterior, ensembles first, and the steps between them."""
        between = self.steps // 2 // KEPT
        steps = self.steps - 1 - between * np.arange(KEPT)[::-1]
        block, step = np.divmod(steps, self.block)
        chain = np.stack([self.blocks[b].chain[s] for b, s in zip(block, step, strict=True)], axis=1)
        logpost = np.stack([self.blocks[b].logpost[s] for b, s in zip(block, step, strict=True)], axis=1)
        return chain, logpost, between


def _compare(path: Path, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for key, value in expected.items():
        if found.get(key) != value:
            raise CatalogFormatError(path, f"a run with {key} {value!r}", f"{found.get(key)!r}; start anew", key)


def _digest(*arrays: Array) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a, dtype=np.float64).tobytes() for a in arrays)).hexdigest()[
        :16
    ]


def _looks(block: int, max_steps: int) -> list[int]:
    """Return after how many steps a run is judged, the last time at its end."""
    last = -(-max_steps // block)
    blocks, looks = -(-2 * KEPT // block), []
    while blocks < last:
        looks.append(blocks * block)
        blocks += max(1, int(GROWTH * blocks))
    return [*looks, last * block]


@dataclass(frozen=True)
class _Finished:
    draws: Array
    logpost: Array
    diagnosis: Diagnosis
    steps: int
    acceptance: float


def _finish(run: _Run, gate: Gate, max_steps: int) -> _Finished:
    """Advance a run until it converges or has done its steps."""
    looks = _looks(run.block, max_steps)
    while True:
        last = run.steps >= looks[-1]
        if last or run.steps in looks:
            draws, logpost, between = run.second_half()
            if last or quick(draws).max() < 1 + HOPELESS * (gate.rhat - 1):
                verdict = diagnose(draws, gate=gate)
                if last or verdict.converged:
                    break
        run.advance()
    ensembles, walkers, _ = run.shape
    accepted = sum(int(block.accepted.sum()) for block in run.blocks)
    scaled = replace(verdict, tau=verdict.tau * between, steps=verdict.steps * between)
    return _Finished(draws, logpost, scaled, run.steps, accepted / (run.steps * ensembles * walkers))


def _posteriors(target: Target, objects: Indices, ensembles: int, runs: Sequence[_Finished]) -> Posteriors:
    draws = np.stack([run.draws.reshape(-1, target.dim) for run in runs])
    return Posteriors(
        names=target.names,
        objects=tuple(target.objects[o] for o in objects),
        draws=draws,
        logpost=np.stack([run.logpost.reshape(-1) for run in runs]),
        loglike=np.concatenate([target.loglike(draws[[k]], objects[[k]]) for k in range(len(objects))]),
        ensembles=ensembles,
        steps=np.array([run.steps for run in runs]),
        acceptance=np.array([run.acceptance for run in runs]),
        diagnosis=Diagnosis.stack([run.diagnosis for run in runs]),
        at_bound=at_bound(draws, *target.support(objects)),
    )


def checkpoint_file(folder: str | PathLike[str], name: str) -> Path:
    """Return the file in which `sample` keeps the chain of an object."""
    readable = "".join(c if c.isalnum() or c in "-+." else "_" for c in name)[:64].lstrip(".")
    return Path(folder) / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.h5"


@dataclass(frozen=True)
class Chains:
    """All steps of an object, from the first.

    Parameters
    ----------
    name
        Of the object.
    parameters
        Their names.
    chain
        (ensemble, step, walker, dim); ``chain[k]`` is what emcee's ``get_chain()`` gives for one ensemble.
    logpost
        (ensemble, step, walker): its ``get_log_prob()``.
    acceptance
        (ensemble, walker): its ``acceptance_fraction``.
    """

    name: str
    parameters: tuple[str, ...]
    chain: Array
    logpost: Array
    acceptance: Array


def read_checkpoint(path: str | PathLike[str]) -> Chains:
    """Read what `sample` has written of an object so far.

    Raises
    ------
    CatalogFileError, CatalogFormatError
        If it is not a sound checkpoint.
    """
    identity, blocks = read_identity(path), read_blocks(path)
    chain = np.concatenate([block.chain for block in blocks]).swapaxes(0, 1)
    names = identity.get("parameters")
    if not isinstance(names, list) or len(names) != chain.shape[-1]:
        raise CatalogFormatError(path, f"names of {chain.shape[-1]} parameters", f"{names!r}", "/ @identity")
    return Chains(
        str(identity.get("object", "")),
        tuple(str(name) for name in names),
        chain,
        np.concatenate([block.logpost for block in blocks]).swapaxes(0, 1),
        np.sum([block.accepted for block in blocks], axis=0) / chain.shape[1],
    )
