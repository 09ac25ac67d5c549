"""The command ``astrotk``: a table of commands, each loaded when called, and one way to report errors."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from astrotk import __version__
from catalogs.errors import AstrotkError

__all__ = ("main",)

#: name -> (module:attribute, one line of help), under the heading that ``--help`` shows them.
COMMANDS = {
    "Systems": {
        "darkexp": ("astrotk.cli.darkexp:group", "Dark-matter halos from galaxy rotation curves."),
    },
    "Tools": {
        "demo": ("astrotk.cli.demo:command", "Run every system on made-up data with known truth."),
        "doctor": ("astrotk.cli.doctor:command", "Say what this machine can do, and what it cannot."),
        "fetch": ("astrotk.cli.fetch:command", "Download published data sets, verified."),
        "report": ("astrotk.cli.report:command", "Turn results into one self-contained HTML page."),
    },
}

USER_ERROR, INTERRUPTED = 2, 130


class _Lazy(click.Group):
    """A group that imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        places = {name: place for section in COMMANDS.values() for name, (place, _) in section.items()}
        if cmd_name not in places:
            return None
        module, _, attribute = places[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Run published analyses of astrophysics and geoscience data on your own data.

    'astrotk COMMAND --help' says more about each command.
    """


def main() -> None:
    """Run the command line; the process exits with 0, 1 (a verdict), 2 (a user's error) or 130 (Ctrl-C).

    A pipe that its reader closed early is ended quietly by click, with 1.
    """
    try:
        code = cli.main(prog_name="astrotk", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        code = exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("astrotk: interrupted", err=True)
        code = INTERRUPTED
    except Exception as exc:
        if not _is_the_users(exc):
            raise
        click.echo(f"astrotk: error: {' '.join(str(exc).split())}", err=True)
        code = USER_ERROR
    sys.exit(code)


def _is_the_users(exc: Exception) -> bool:
    """Tell what a user can mend from what is a fault of ours, which shows its traceback."""
    if isinstance(exc, AstrotkError):
        return True
    if isinstance(exc, OSError):
        return exc.filename is not None  # no such folder, no permission
    from gpu.registry import BackendUnavailable

    return isinstance(exc, BackendUnavailable)
