"""The assistants of the mission, each a thin composition of the floors below, with its routes."""
