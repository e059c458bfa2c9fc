"""The deployed lab, and ways to damage it. Needs a successful `make lab` before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.deployed import ROOT, Cloud

INVENTORY = ROOT / "inventories" / "lab"
LAB = os.environ.get("CAIRN_LAB")


@pytest.fixture(scope="session")
def python() -> str:
    """Python inside the lab's network, whatever the lab is called."""
    return str(Cloud(ROOT, lab=LAB).python)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """The lab's cloud, serving: a host from the test before may still be booting."""
    found = Cloud(tmp_path, lab=LAB)
    found.must_exist()
    found.wait_answers(300)
    return found


@pytest.fixture
def drift(
    cloud: Cloud, lab_site: dict[str, Any], tmp_path: Path
) -> Callable[[], dict[str, list[str]]]:
    """Ask all hosts with Cairn's own probe what differs from the last run; host to sentences.

    Units that do not run or would not start at boot, files, packages, addresses, MTUs.
    """
    known, answers = tmp_path / "site.json", tmp_path / "answers"
    known.write_text(json.dumps({"cairn_site": lab_site}))

    def wrong(answer: dict[str, Any]) -> list[str]:
        if "services" not in answer:
            return [str(answer.get("msg", "gives no answer"))]
        services = [why["text"] for one in answer["services"].values() for why in one["drift"]]
        return services + list(answer["network"]["drift"])

    def ask() -> dict[str, list[str]]:
        shutil.rmtree(answers, ignore_errors=True)
        subprocess.run(
            [
                *(str(Path(sys.executable).with_name("ansible")), "-i", str(cloud.inventory)),
                *("--tree", str(answers), "-e", f"@{known}"),
                *(",".join(lab_site["hosts"]), "-m", "cairn_probe"),
            ],
            cwd=ROOT,
            capture_output=True,
            check=False,
            timeout=300,
        )
        found = {name: json.loads((answers / name).read_text()) for name in lab_site["hosts"]}
        return {name: said for name, answer in found.items() if (said := wrong(answer))}

    return ask


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Make a copy of the project in which a test may change anything."""

    def make() -> Path:
        tree = tmp_path / "tree"
        shutil.copytree(
            ROOT,
            tree,
            symlinks=True,
            ignore=shutil.ignore_patterns(".git", ".venv", ".lab", ".cache", "__pycache__"),
        )
        (tree / ".lab").symlink_to(ROOT / ".lab")
        return tree

    yield make
    shutil.rmtree(tmp_path / "tree", ignore_errors=True)
