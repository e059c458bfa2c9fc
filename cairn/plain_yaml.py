"""YAML as plain data, without Ansible's tags."""

from __future__ import annotations

from typing import Any

import yaml

# libyaml reads ten times as fast; some builds of PyYAML lack it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> Any:
    """The content of a document; yaml.YAMLError if it is none."""
    return yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe one
