"""The guard that names whatever hides one of the packages installed beside `astrotk`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

SIBLINGS = ("seismic", "stats", "gpu", "catalogs")


def shadowed() -> dict[str, tuple[Path, str]]:
    """Name each sibling that Python would take from elsewhere.

    Returns
    -------
    dict
        ``{name: (wanted, found)}``; empty when all four are ours.
    """
    home = Path(__file__).resolve().parent.parent
    hidden = {}
    for name in SIBLINGS:
        wanted = home / name / "__init__.py"
        spec = find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is None or Path(origin).resolve() != wanted:
            hidden[name] = (wanted, origin or "nothing")
    return hidden


def check_siblings() -> None:
    """Raise an `ImportError` that says which file hides a sibling, where one does."""
    for name, (wanted, found) in shadowed().items():
        message = (
            f"astrotk needs its own package '{name}' at {wanted}, but Python finds {found}: "
            "rename or move that file, or start Python from another folder"
        )
        raise ImportError(message, name=name, path=found)
