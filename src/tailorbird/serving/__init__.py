"""Answering over HTTP: the engine, and the routes around it."""
