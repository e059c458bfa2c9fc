"""Which commands of the docs the lab runs (tests/lab/day_two/test_docs.py), and in which words."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.cloud import commands, terminal
from tests.lab.cloud.commands import LEFT_OUT, PREFIX, RUN, RUN_FIRST_DAY, Command

LAB = Path("inventories/lab")
ALL = commands.commands()


@pytest.fixture
def words(root: Path) -> dict[str, str]:
    planes = yaml.safe_load((root / LAB / "group_vars/all/planes.yml").read_text())
    return commands.replacements(planes, Path("/tmp/image"), Path("/tmp/key"), "compute2")


def test_of_every_command_it_is_said_whether_the_lab_runs_it() -> None:
    assert commands.undecided(ALL) == []
    assert commands.undecided([Command("page", "shutdown now")])


@pytest.mark.parametrize("pattern", [*RUN, *RUN_FIRST_DAY])
def test_a_pattern_of_commands_that_run_fits_one(pattern: str) -> None:
    assert any(re.fullmatch(pattern, command.plain) for command in ALL if command.runs)


@pytest.mark.parametrize("pattern", LEFT_OUT)
def test_a_reason_to_leave_commands_out_fits_one_that_is_left_out(pattern: str) -> None:
    assert LEFT_OUT[pattern]
    assert any(pattern in command.reasons for command in ALL if not command.runs)


def test_the_first_day_runs_whole_but_for_an_instance() -> None:
    page = [command for command in ALL if command.page == commands.FIRST_DAY]
    left = [command.plain for command in page if not command.runs]
    assert len(commands.of_page(commands.FIRST_DAY)) > 20
    assert not [text for text in left if re.match(r"openstack (?!--os-cloud cloud server)", text)]


def test_nothing_of_the_example_is_left_in_a_command_for_the_lab(words: dict[str, str]) -> None:
    chosen = [*commands.of_page(commands.FIRST_DAY), *commands.others()]
    for command in chosen:
        line = commands.in_lab(command, words, LAB)
        assert not re.search(r"inventories/site|198\.51\.100|genericcloud|\bcompute4\b|~/", line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "make openstack INVENTORY=inventories/site ARGS='router add subnet web web'",
            f"make openstack INVENTORY={LAB} ARGS='router add subnet {PREFIX}web {PREFIX}web'",
        ),
        (
            "openstack --os-cloud cloud security group rule create --dst-port 22 default",
            "openstack --os-cloud cloud security group rule create --dst-port 22 default",
        ),
        (
            "make openstack INVENTORY=inventories/site ARGS='subnet pool create --default default'",
            f"make openstack INVENTORY={LAB} ARGS='subnet pool create --default {PREFIX}default'",
        ),
        ("make plan INVENTORY=inventories/site", f"make plan INVENTORY={LAB}"),
    ],
)
def test_a_command_in_the_labs_words(words: dict[str, str], text: str, line: str) -> None:
    assert commands.in_lab(Command("page", text), words, LAB) == line


def test_a_password_is_typed_at_each_prompt(tmp_path: Path) -> None:
    asks = "import getpass; a, b = (getpass.getpass(f'{n} Password:') for n in ('New', 'Same')); "
    program = f"{asks}assert a == b == 'typed word'; print('taken')"
    command = [sys.executable, "-c", program]
    status, printed = terminal.answer(command, "typed word", tmp_path, os.environ, 60)
    assert (status, "taken" in printed, "typed word" in printed) == (0, True, False)
    with pytest.raises(TimeoutError, match="waiting"):
        sleeps = [sys.executable, "-uc", "import time; print('waiting'); time.sleep(60)"]
        terminal.answer(sleeps, "", tmp_path, os.environ, 3)


def test_an_empty_image_is_one(script: Any, tmp_path: Path) -> None:
    image = script("tests/lab/day_two/test_docs.py").empty_qcow2(3)
    assert (image[:8], len(image)) == (b"QFI\xfb\0\0\0\2", 4 * 65536)
    assert int.from_bytes(image[24:32]) == 3 << 30
