"""What programs use of recommendation: lists, events, items."""
