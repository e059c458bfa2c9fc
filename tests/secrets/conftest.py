"""What the tests of secrets share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import OPTIONAL

HOSTS = ("controller1", "controller2", "network1", "compute1", "storage1")
DISKS = [{"name": "d1", "device": "/dev/vdb"}]


@pytest.fixture(scope="session")
def models(make_model: Callable[..., Any]) -> list[tuple[str, Any, dict[str, Any]]]:
    """A name, the model and the manifests of every kind of host, with one controller and three."""
    made = []
    for controllers in (1, 3):
        for name in HOSTS:
            if not (controllers == 1 and name == "controller2"):
                variables: dict[str, Any] = {"swift_disks": DISKS} if "storage" in name else {}
                model = make_model(name, controllers, OPTIONAL, **variables)
                made.append((f"{name} of {controllers}", model, model.manifests()))
    return made
