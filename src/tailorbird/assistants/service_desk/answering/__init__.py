"""What is said to a message, and why."""
