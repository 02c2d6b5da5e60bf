"""Opinion monitoring: what is published, what it says of whom, and what rises.

`gathering` brings posts, `reading` finds topics and sentiment in them, `watching` tells when
something rises.
"""
