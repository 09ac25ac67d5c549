"""Arrival picking on continuous waveforms."""
