"""What is kept of conversations, and how people take part in them."""
