"""The moves of emcee by name, and one that it lacks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from emcee.moves import DEMove, DESnookerMove, Move, RedBlueMove, StretchMove, WalkMove

from catalogs.errors import ParameterError

__all__ = ("SnookerMove", "choose", "describe")

Array = npt.NDArray[np.float64]


class SnookerMove(RedBlueMove):  # type: ignore[misc, unused-ignore]
    """The snooker update of ter Braak & Vrugt (2008, doi:10.1007/s11222-008-9104-9).

    A walker moves along the line to another one, by the difference of two more as seen along that line. emcee 3.1.6
    has a `DESnookerMove` that scales the jump by the distance between the two, which its acceptance does not allow
    for: what it samples is not the posterior.
    """

    #: The factor of the paper.
    gamma = 1.7

    def get_proposal(self, s: Array, c: list[Array], random: Any) -> tuple[Array, Array]:
        """Return where each walker of `s` would go, and the logarithm of what the move favours."""
        others = np.concatenate(c)
        z, z1, z2 = others[random.rand(len(s), len(others)).argsort(axis=1)[:, :3]].swapaxes(0, 1)
        away = s - z
        distance = np.linalg.norm(away, axis=1, keepdims=True)
        along = away / distance
        q = s + self.gamma * np.sum(along * (z1 - z2), axis=1, keepdims=True) * along
        stretched = np.linalg.norm(q - z, axis=1) / distance[:, 0]
        return q, (s.shape[1] - 1) * np.log(stretched)


NAMED = {"de": DEMove, "snooker": SnookerMove, "stretch": StretchMove, "walk": WalkMove}


def choose(moves: Any) -> list[tuple[Move, float]]:
    """Return moves and weights from a name, a move, a list of these, or one of pairs with weights.

    The caller's objects stay as they are.

    Raises
    ------
    ParameterError
        If one is none.
    """
    listed = list(moves) if isinstance(moves, list | tuple) else [moves]
    pairs = []
    for entry in listed:
        move, weight = entry if isinstance(entry, list | tuple) and len(entry) == 2 else (entry, 1.0)
        move = NAMED[move]() if isinstance(move, str) and move in NAMED else copy.deepcopy(move)
        if isinstance(move, DESnookerMove):
            message = "DESnookerMove of emcee 3.1.6 does not sample the posterior (dfm/emcee#531): use 'snooker'"
            raise ParameterError(message)
        if not isinstance(move, Move) or not weight > 0:
            message = f"a move is one of {', '.join(NAMED)} or of emcee, its weight positive; found {entry!r}"
            raise ParameterError(message)
        pairs.append((move, float(weight)))
    if not pairs:
        message = f"a run needs a move: one of {', '.join(NAMED)}, or of emcee"
        raise ParameterError(message)
    return pairs


def describe(moves: list[tuple[Move, float]]) -> str:
    """Return moves in words: weight, type and those of the settings that are plain numbers or texts."""
    words = []
    for move, weight in moves:
        settings = sorted(vars(move).items())
        plain = [f"{name}={value!r}" for name, value in settings if isinstance(value, int | float | str)]
        words.append(f"{weight:g} {type(move).__name__}({', '.join(plain)})")
    return "; ".join(words)
