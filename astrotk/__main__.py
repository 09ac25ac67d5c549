"""``python -m astrotk`` is the command ``astrotk``."""

from astrotk.cli.main import main

main()
