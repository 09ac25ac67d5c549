"""The border: files and URLs to named arrays and back, units, errors, provenance, results."""
