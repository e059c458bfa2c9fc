"""Sessions in memcached as only this dashboard can write and read them.

A session holds the user's token, and Django unpickles what the cache returns; memcached itself asks
nobody on the management plane for a password.
"""

import base64
import hashlib
import pickle
from typing import Any

from cryptography.fernet import Fernet, InvalidToken


class EncryptedSessions:
    """Serialiser for pymemcache: encrypted, authenticated, and good for its own key only."""

    def __init__(self, secret: str) -> None:
        """Derive the key from the site's secret; every controller has the same."""
        digest = hashlib.sha256(b"horizon sessions\0" + secret.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(digest))

    def serialize(self, key: bytes | str, value: Any) -> tuple[bytes, int]:
        """Turn a value into what memcached keeps under `key`; its flags are not used."""
        return self._fernet.encrypt(pickle.dumps((_name(key), value))), 0

    def deserialize(self, key: bytes | str, value: bytes, flags: int) -> Any:
        """Return what was kept under `key`; None, as if there were nothing, for all else."""
        try:
            name, content = pickle.loads(self._fernet.decrypt(value))  # noqa: S301 - our own seal
        except InvalidToken:
            return None
        return content if name == _name(key) else None


def _name(key: bytes | str) -> str:
    return key.decode() if isinstance(key, bytes) else key
