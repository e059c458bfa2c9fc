"""One host, one name: what the inventory calls a host is what every file of every role calls it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from cairn.preflight.inventory import check_host_names
from cairn.service import registry
from cairn.service.model import Model

MakeModel = Callable[..., Model]
SHORT = re.compile(r"\b(controller|network|compute|storage)\d\b")


def renamed(site: dict[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    """The site with other names for its hosts."""
    text = json.dumps(site)
    for name in site["hosts"]:
        text = text.replace(json.dumps(name), json.dumps(rename(name)))
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    "rename",
    [lambda name: f"{name}.lab.example", str.upper, lambda name: f"1-{name}"],
    ids=["fully qualified", "capitals", "digit first"],
)
@pytest.mark.parametrize("who", ["controller1", "network1", "compute1", "storage1"])
def test_every_role_calls_a_host_by_its_inventory_name(
    make_model: MakeModel, rename: Callable[[str], str], who: str
) -> None:
    services = registry.optional(registry.descriptions())
    site = renamed(make_model(controllers=3, services=services).site, rename)
    assert check_host_names(site["hosts"], site["names"]) == []
    model = make_model(rename(who), cairn_site=site)
    manifests = model.manifests()
    texts = {
        (role, file["path"]): str(file["content"])
        for role, manifest in manifests.items()
        for file in manifest["files"]
        if "content" in file
    }
    assert texts["base", "/etc/hostname"] == f"{rename(who)}\n"
    mine = [line for line in texts["base", "/etc/hosts"].splitlines() if rename(who) in line]
    assert mine == [f"{site['hosts'][rename(who)]['addresses']['management']} {rename(who)}"]
    names = "|".join(map(re.escape, site["hosts"]))
    wrong = {
        where: found
        for where, text in texts.items()
        if (found := SHORT.search(re.sub(names, "", text)))
    }
    assert wrong == {}
