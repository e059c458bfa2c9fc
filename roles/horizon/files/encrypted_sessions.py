"""Encrypted sessions in memcached, readable and writable only by this site's dashboards.

A session holds the user's token, and Django unpickles what the cache returns; memcached has no
authentication on the management plane.
"""

import base64
import hashlib
import pickle
from typing import Any

from cryptography.fernet import Fernet, InvalidToken


class EncryptedSessions:
    """Serialiser for pymemcache: encrypts, authenticates, and binds each value to its key."""

    def __init__(self, secret: str) -> None:
        """Derive the key from the site's secret, which all controllers share."""
        digest = hashlib.sha256(b"horizon sessions\0" + secret.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(digest))

    def serialize(self, key: bytes | str, value: Any) -> tuple[bytes, int]:
        """Return the value encrypted for `key`, and memcached's flags, which are not used."""
        return self._fernet.encrypt(pickle.dumps((_name(key), value))), 0

    def deserialize(self, key: bytes | str, value: bytes, flags: int) -> Any:
        """Return the value stored under `key`; None if this site did not encrypt it for it."""
        try:
            name, content = pickle.loads(self._fernet.decrypt(value))  # noqa: S301 - our own
        except InvalidToken:
            return None
        return content if name == _name(key) else None


def _name(key: bytes | str) -> str:
    return key.decode() if isinstance(key, bytes) else key
