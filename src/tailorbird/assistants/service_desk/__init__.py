"""Smart customer service."""
