"""Images that users import, held against glance's own code."""

from __future__ import annotations

import configparser
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cairn.service.model import Model

Ini = Callable[..., dict[str, dict[str, str]]]
STATE = "/var/lib/glance"
# As glance-api does at its start: make the stores, then read the folders past them.
FOLDERS = """
import json
import sys
import glance_store
from glance import housekeeping
from glance.common import config, wsgi
from oslo_config import cfg
config.parse_args(["--config-file", sys.argv[1]])
glance_store.register_store_opts(cfg.CONF, reserved_stores=wsgi.RESERVED_STORES)
glance_store.create_multi_stores(cfg.CONF, reserved_stores=wsgi.RESERVED_STORES)
by_store = {
    name: glance_store.get_store_from_store_identifier(name).datadir
    for name in wsgi.RESERVED_STORES
}
by_glance = {name: cfg.CONF[name].filesystem_store_datadir for name in wsgi.RESERVED_STORES}
print(json.dumps([housekeeping.staging_store_path(), by_store, by_glance]))
"""


@pytest.mark.parametrize("services", [(), ("swift",)])
def test_glance_and_its_store_stage_imports_in_the_same_folders(
    services: tuple[str, ...], venv_of: Callable[[str], Path], ini: Ini, tmp_path: Path
) -> None:
    python = venv_of("glance") / "bin/python"
    conf = ini("glance", "glance-api.conf", services=services)
    conf["DEFAULT"]["enabled_backends"] = "file:file"  # swift would ask for its account file
    parser = configparser.RawConfigParser(default_section="")
    named = ("DEFAULT", "glance_store", "file", "os_glance_staging_store", "os_glance_tasks_store")
    parser.read_dict({name: conf[name] for name in named if name in conf})
    path = tmp_path / "glance-api.conf"
    with path.open("w") as file:
        parser.write(file)
    path.write_text(path.read_text().replace(STATE, str(tmp_path / "state")))
    done = subprocess.run(
        [str(python), "-c", FOLDERS, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    staging, by_store, by_glance = json.loads(done.stdout.splitlines()[-1])
    assert by_store == by_glance
    assert staging == by_store["os_glance_staging_store"]
    assert len({*by_store.values(), str(tmp_path / "state/images")}) == 3


def test_the_folders_of_imports_are_made_and_glances_own(
    ini: Ini, make_model: Callable[..., Model]
) -> None:
    conf = ini("glance", "glance-api.conf")
    manifest: Any = make_model("controller1").manifest("glance")
    made = {one["path"]: one for one in manifest["directories"]}
    for store in ("os_glance_staging_store", "os_glance_tasks_store"):
        folder = made[conf[store]["filesystem_store_datadir"]]
        assert (folder["owner"], folder["group"], folder["mode"]) == ("glance", "glance", "0750")
