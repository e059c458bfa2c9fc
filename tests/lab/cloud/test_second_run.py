"""A second run has nothing to do: every role of the whole cloud is idempotent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.deployed import Cloud, work

pytestmark = pytest.mark.lab


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.must_exist()
    code, text = cloud.site()
    assert code == 0, text
    assert cloud.figures()["hosts"]
    assert work(cloud.figures()) == {}
