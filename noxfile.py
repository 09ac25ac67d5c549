#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Tasks for those who work on astrotk; `.ci/run` is what CI runs, from end to end."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"


def install(session: nox.Session, extras: str) -> None:
    """Install the package and some extras, held to the constraints of CI where there are any."""
    held = session.python in ("3.11", "3.12")
    constraints = ["-c", f"constraints-{session.python}.txt"] if held else []
    session.install(*constraints, "-e", f".[{extras}]")


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Style, structure and dependencies."""
    install(session, "test,dev")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
    session.run("deptry", ".")
    session.run("sp-repo-review", ".", "--show", "err")


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """Types, with the numpy that Python 3.11 gets: later stubs do not parse as 3.11."""
    install(session, "test,dev")
    session.run("mypy")


@nox.session(python=["3.11", "3.12"])
def tests(session: nox.Session) -> None:
    """Tests; arguments after -- go to pytest."""
    install(session, "test")
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """Documentation, into docs/_build/html."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "-n", "--keep-going", "docs", "docs/_build/html")


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """The source archive and the wheel, into dist/."""
    session.install("build")
    session.run("python", "-m", "build")


if __name__ == "__main__":
    nox.main()
