"""Figures that anybody can run again: one file each, see README.md."""
