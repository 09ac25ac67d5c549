"""Print the lowest versions that pyproject.toml admits, as a pip constraints file.

CI installs the package with them and runs the tests, so that a lower bound is a promise that was kept once.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement


def oldest(requirement: str) -> str:
    """Turn ``name>=1.2`` into ``name==1.2``; one that has no lower bound is left out as an empty line."""
    parsed = Requirement(requirement)
    bounds = [spec.version for spec in parsed.specifier if spec.operator == ">="]
    return f"{parsed.name}=={bounds[0]}" if bounds else ""


def main() -> None:
    """Print the runtime dependencies and the test extra, one a line."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        print(oldest(requirement))


if __name__ == "__main__":
    main()
