"""Rows of tasks: which column holds what, what a row becomes, how rows are divided."""
