"""What a run refuses when it decides, before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.actions.deciding import check_variables
from cairn.errors import DescriptionError
from cairn.service import registry
from cairn.service.model import Model
from tests.conftest import OPTIONAL


def defaults(root: Path, role: str) -> dict[str, Any]:
    path = root / "roles" / role / "defaults/main.yml"
    return dict(yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def test_empty_variables_are_named(make_model: Callable[..., Model], root: Path) -> None:
    """`nova_workers:` in an inventory is null, and would stand in a file as `None`."""
    roles = make_model("controller1", 3, OPTIONAL).roles()
    ours = [role for role in roles if make_model("controller1", 3, OPTIONAL).has_part_of(role)]
    nulls = dict.fromkeys(
        name
        for role in ours
        for name, default in defaults(root, role).items()
        if default is not None
    )
    assert {"nova_workers", "pki_days", "keystone_config"} <= set(nulls)
    with pytest.raises(DescriptionError) as caught:
        check_variables(make_model("controller1", 3, OPTIONAL, **nulls))
    lines = str(caught.value).splitlines()
    named = {
        line.split()[3] for line in lines if line.endswith(" is empty; remove it for the default")
    }
    assert named == {n for n in nulls if n not in registry.merged()}
    assert "controller1: role nova: nova_workers is empty; remove it for the default" in lines


def test_lists_and_mappings_given_as_text_are_refused(
    make_model: Callable[..., Model], root: Path
) -> None:
    """`-e base_packages=vim` is a text, of which the role would take the letters."""
    ours = {"controller1": set[str](), "storage1": set[str]()}
    for name, found in ours.items():
        model = make_model(name, 3, OPTIONAL)
        for role in filter(model.has_part_of, model.roles()):
            path = root / "roles" / role / "meta/argument_specs.yml"
            options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
            found |= {n for n, option in options.items() if option.get("type") in ("list", "dict")}
        plain = found - {"swift_disks", "swift_policies", "swift_sync_realms"}
        with pytest.raises(DescriptionError) as caught:
            check_variables(make_model(name, 3, OPTIONAL, **dict.fromkeys(plain, "some")))
        named = re.findall(
            r"role \w+: (\w+) is a text; it must be a (?:list|dict)", str(caught.value)
        )
        assert set(named) == plain
    assert {"base_packages", "nova_config", "pki_names"} <= ours["controller1"]
    assert "swift_lost" in ours["storage1"]


def test_variables_that_are_not_set_have_their_defaults(make_model: Callable[..., Model]) -> None:
    check_variables(make_model("controller1", 3, OPTIONAL))
