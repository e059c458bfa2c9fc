"""Tests of a deployed cloud work in a lab of any name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn.report import ACTIONS, HostReport
from tests.lab.deployed import Cloud, work


def test_a_lab_is_that_of_the_inventorys_name_or_the_one_that_was_named(tmp_path: Path) -> None:
    assert Cloud(tmp_path, "lab-ha").python.parts[-3:] == (".lab", "lab-ha", "python")
    assert Cloud(tmp_path, lab="mine").python.parts[-3:] == (".lab", "mine", "python")


def test_no_test_knows_the_lab_by_name(root: Path) -> None:
    known = "/".join((".lab", "lab", ""))
    files = (root / "tests").rglob("*.py")
    assert [str(f.relative_to(root)) for f in files if known in f.read_text()] == []


@pytest.mark.parametrize("kind", ["changed", *ACTIONS])
def test_whatever_a_run_did_is_work(kind: str) -> None:
    idle, busy = HostReport().as_dict(), HostReport(**{kind: ["x"]}).as_dict()
    assert work({"hosts": {"h1": idle}}) == {}
    assert work({"hosts": {"h1": idle, "h2": busy}}) == {kind: {"h2": ["x"]}}
