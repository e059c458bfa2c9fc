"""Data and files as text, for the way between the control node and a host."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any


def pack(value: Any) -> str:
    """Data as one opaque string, passed as a single module argument that is never logged."""
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


def unpack(text: str) -> Any:
    """The data that `pack` packed."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def encode(content: bytes) -> str:
    """A file as text."""
    return base64.b64encode(content).decode()


def decode(text: str) -> bytes:
    """The content that `encode` encoded."""
    return base64.b64decode(text)
