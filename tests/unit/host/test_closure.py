"""What a module ships to a host needs Python's standard library and itself, nothing else."""

from __future__ import annotations

import ast
import base64
import functools
import io
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.executor import module_common
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_utils_loader
from ansible.template import Templar

ROOT = Path(__file__).resolve().parents[3]
MODULES = {path.stem: path for path in sorted((ROOT / "plugins/modules").glob("cairn_*.py"))}
# Actions of these names do all the work; the files hold documentation.
DOCUMENTED = {name for name, path in MODULES.items() if "AnsibleModule" not in path.read_text()}
# Runs on the control node, where cairn is installed.
CONTROL_NODE = {"cairn_verify"}
OURS = "ansible/module_utils/cairn_host/"
# What a service's virtualenv has, whose Python runs it, and what is asked where it is.
ELSEWHERE = {
    "service/oslo_validator.py": {"oslo_config"},
    "identity/client.py": {"requests"},
    "probe/journal.py": {"libvirt"},
}


@functools.cache
def shipped(name: str) -> dict[str, str]:
    """The files that Ansible sends to a host with a module: name to text."""
    built = module_common.modify_module(
        module_name=name,
        module_path=str(MODULES[name]),
        module_args={},
        templar=Templar(loader=DataLoader(), variables={}),
        task_vars={"ansible_python_interpreter": "/usr/bin/python3"},
    )
    (archive,) = re.findall(rb"[A-Za-z0-9+/=]{10000,}", built.b_module_data)
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(archive))) as file:
        return {entry: file.read(entry).decode() for entry in file.namelist()}


def strangers(text: str) -> Iterator[str]:
    """What a program imports that a bare host does not have."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module)]
        else:
            continue
        for name in names:
            sent = name.startswith("ansible.module_utils.")
            if not sent and name.partition(".")[0] not in sys.stdlib_module_names:
                yield name.partition(".")[0]


@pytest.fixture(scope="module", autouse=True)
def loaders() -> None:
    init_plugin_loader()
    module_utils_loader.add_directory(str(ROOT / "plugins/module_utils"))


@pytest.mark.parametrize("name", sorted(MODULES.keys() - DOCUMENTED))
def test_a_host_has_all_that_a_module_imports(name: str) -> None:
    files = shipped(name)
    ours = {place: text for place, text in files.items() if "cairn" in place}
    assert ours
    found = {
        place: set(strangers(text))
        - ELSEWHERE.get(place.removeprefix(OURS).removeprefix("ansible/legacy/"), set())
        for place, text in ours.items()
    }
    allowed = {"cairn", "openstack"} if name in CONTROL_NODE else set()
    assert {place: names - allowed for place, names in found.items() if names - allowed} == {}
    packages = {place for place in ours if place.startswith(OURS)}
    assert name not in CONTROL_NODE or not packages, "the proof is not sent anywhere"


def test_every_file_of_the_package_is_sent_with_some_module() -> None:
    sent = {place for name in MODULES.keys() - DOCUMENTED for place in shipped(name)}
    folder = ROOT / "plugins/module_utils/cairn_host"
    there = {OURS + str(path.relative_to(folder)) for path in folder.rglob("*.py")}
    assert there - sent == set(), "code that never leaves the control node belongs to cairn"


def test_what_a_host_lacks_is_seen() -> None:
    text = (
        "import os, yaml\nfrom ansible.module_utils.basic import x\ndef f():\n    from a.b import c"
    )
    assert set(strangers(text)) == {"yaml", "a"}
