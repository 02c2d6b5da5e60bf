"""The assistants: each a thin composition of the floors below, with its own routes."""
