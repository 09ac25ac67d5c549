"""One family for everything that can be wrong with what a user hands over.

Each error reads as one line: the file, the place in it, what was expected, what was found. Each is also a
`ValueError` or an `OSError`, so code that knows nothing of astrotk still catches it.
"""

from __future__ import annotations

from os import PathLike

__all__ = ("AstrotkError", "CatalogFileError", "CatalogFormatError", "ParameterError", "UnitError")


class AstrotkError(Exception):
    """Anything that the user can mend; the command line prints it in one line and exits with 2."""


class CatalogFileError(AstrotkError, OSError):
    """A file that is missing, unreadable, too large or not to be trusted.

    Parameters
    ----------
    path
        The file.
    reason
        What is wrong and what to do about it.
    """

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason


class CatalogFormatError(AstrotkError, ValueError):
    """A file whose content is not what its format asks for.

    Parameters
    ----------
    path
        The file.
    expected, found
        Both sides of the difference, in words.
    where
        The row, column, HDU or dataset, if one can be named.
    """

    def __init__(self, path: str | PathLike[str], expected: str, found: str, where: str = "") -> None:
        place = f"{path}, {where}" if where else f"{path}"
        super().__init__(f"{place}: expected {expected}, found {found}")
        self.path, self.expected, self.found, self.where = str(path), expected, found, where


class UnitError(AstrotkError, ValueError):
    """A quantity whose unit cannot be turned into the one that is needed."""


class ParameterError(AstrotkError, ValueError):
    """An argument or option that makes no sense; the message says what would."""
