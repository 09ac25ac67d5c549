"""``python -m astrotk`` is the command ``astrotk``."""

from astrotk.cli.main import main

if __name__ == "__main__":
    main()
