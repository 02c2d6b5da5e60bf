"""Under which name a user is kept."""

from __future__ import annotations

import hashlib

from tailorbird.data import mask_pii


def kept_name(user: str) -> str:
    """*user*, or a code for it where it is an e-mail address, a phone or such.

    It is the code that cleaning of logs gives, so that who is forgotten is forgotten here, too.

    >>> kept_name("u-17"), kept_name("ada@example.com")
    ('u-17', 'user-b5fc85e55755')
    """
    if mask_pii(user) == user:
        return user
    return f"user-{hashlib.sha256(user.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
