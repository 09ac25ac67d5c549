"""``astrotk fetch``: published data sets, verified."""

from __future__ import annotations

import click

__all__ = ("command",)


@click.command("fetch")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--list", "listing", is_flag=True, help="List the data sets; so does no NAME at all.")
@click.option("--offline", is_flag=True, help="Never ask the network; a missing file is an error.")
def command(names: tuple[str, ...], listing: bool, offline: bool) -> None:
    """Download published data sets into the cache and print where they are.

    Every file is checked against its registered SHA-256. A download that broke off goes on where it stopped.
    The cache is ASTROTK_CACHE, or the folder that the system keeps for caches.
    """
    from tqdm import tqdm

    from catalogs import fetch

    if listing or not names:
        known = fetch.sources()
        width = max(map(len, known))
        for source in known.values():
            size = tqdm.format_sizeof(source.size, "B")
            click.echo(f"{source.name:{width}}  {size:>6}  {source.state:7}  {source.title}")
        return
    for name in names:
        paths = fetch.fetch(name, offline=offline)
        source = fetch.sources()[name]
        for path, file in zip(paths, source.files, strict=True):
            click.echo(f"{path}\n  sha256 {file.sha256}")
        click.echo(f"{source.title}\n  licence  {source.licence}\n  cite     {source.citation}")
        click.echo(f"  see      {f'https://doi.org/{source.doi}' if source.doi else source.homepage}")
