"""The command line of astrotk."""
