"""Results as one HTML page that needs nothing from outside."""

from astrotk.report.kinds import KINDS, plates_of
from astrotk.report.page import Section, write_page

__all__ = ("KINDS", "Section", "plates_of", "write_page")
