"""An adapter for each user, where it helps that user, with the proof."""
