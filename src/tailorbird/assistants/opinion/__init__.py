"""Opinion monitoring: what is said in public, how it changes, and who is told when it turns bad.

`gathering` takes posts in from files, feeds, endpoints and webhooks; `reading` finds their topics,
their sentiment and whom they speak of; `watching` finds surges and tells people; `http` shows it.
"""
