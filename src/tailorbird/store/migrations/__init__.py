"""Alembic migrations, part of the installed package and run by `Workspace.open`.

A new one is written by hand after the pattern of its predecessor, as
``versions/v0002_what_changes.py``; a published one is never edited.
"""
