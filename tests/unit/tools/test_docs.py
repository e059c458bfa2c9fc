"""What the guides say of endpoints is what the roles serve."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cairn.service import registry
from cairn.service.description import catalog_entries

ENTRIES = {
    entry["type"]: entry
    for described in registry.descriptions().values()
    for entry in catalog_entries(described.get("catalog"))
    if "type" in entry
}


@pytest.mark.parametrize("kind", sorted(ENTRIES))
def test_the_page_for_users_has_every_endpoint_of_the_catalog(kind: str, root: Path) -> None:
    path = re.sub(r"%\(\w+\)s", "<project>", ENTRIES[kind].get("path", ""))
    endpoint = f"https://cloud.example:{ENTRIES[kind]['port']}{path}"
    assert f"| `{endpoint}` | `{kind}` |\n" in (root / "docs/use-the-cloud.md").read_text()


def test_the_readme_has_endpoint_and_settings_in_each_language(root: Path) -> None:
    rows = [line.split(" | ") for line in (root / "README.md").read_text().splitlines()]
    (head,) = [row for row in rows if row[2:3] == ["Go: gophercloud v2"]]
    assert [name.partition(":")[0] for name in head[1:]] == ["Python", "Go", "Java"]
    (endpoint,) = [row for row in rows if row[0] == "| endpoint"]
    port = ENTRIES["identity"]["port"]
    assert f":{port}/v3" in endpoint[1]
    assert f":{port}/v3" in endpoint[3]
