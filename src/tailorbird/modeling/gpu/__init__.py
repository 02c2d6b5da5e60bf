"""What the engine needs on a GPU alone: fewer, larger kernels than torch's single operations."""
