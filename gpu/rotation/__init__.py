"""Rotation curves: the circular velocity of gas, stars and halo, and its likelihood."""

from gpu.registry import register

register("rotation.chi2", cpu="gpu.rotation.cpu:chi2", cuda="gpu.rotation.cuda:chi2")
