"""The console: the pages of the service for people, in Chinese and English."""

from tailorbird.console.mount import CONSOLE_POLICY, mount_console

__all__ = ["CONSOLE_POLICY", "mount_console"]
