"""What the tests of secrets share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cairn.service.dialects import DialectError
from cairn.site.secrets import writers
from tests.conftest import OPTIONAL

HOSTS = ("controller1", "controller2", "network1", "compute1", "storage1")
DISKS = [{"name": "d1", "device": "/dev/vdb"}]


HARD = "$5 %'\"#é{{ }}"


def hard(secrets: dict[str, str]) -> dict[str, str]:
    """The secrets with characters that their readers treat specially, where they may."""
    made = dict(secrets)
    for name, value in secrets.items():
        try:
            for write in writers(name):
                write(value + HARD)
        except DialectError:
            continue
        if not name.startswith("ca_"):
            made[name] = value + HARD
    return made


@pytest.fixture(scope="session")
def models(
    make_model: Callable[..., Any], secrets: dict[str, str]
) -> list[tuple[str, Any, dict[str, Any]]]:
    """A name, the model and the manifests of every kind of host, with one controller and three.

    Those of three controllers have secrets of all characters.
    """
    made = []
    for controllers in (1, 3):
        for name in HOSTS:
            if not (controllers == 1 and name == "controller2"):
                variables: dict[str, Any] = {"swift_disks": DISKS} if "storage" in name else {}
                if controllers > 1:
                    variables["cairn_secrets"] = hard(secrets)
                model = make_model(name, controllers, OPTIONAL, **variables)
                made.append((f"{name} of {controllers}", model, model.manifests()))
    return made
