"""Images in the object store."""

from __future__ import annotations

import configparser
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleUndefinedVariable

Ini = Callable[..., dict[str, dict[str, str]]]
# Numbers and names that glance's store has for swift once it has made the back end.
OPTIONS = """
import sys
import glance_store
from glance.common import config
from glance_store._drivers.swift import store
from oslo_config import cfg
config.parse_args(["--config-file", sys.argv[1]])
glance_store.register_store_opts(cfg.CONF, reserved_stores={})
glance_store.create_multi_stores(cfg.CONF)
for option in store._SWIFT_OPTS:
    if isinstance(option.default, (int, str)) and not isinstance(option.default, bool):
        print(option.name, cfg.CONF.swift[option.dest])
"""


@pytest.mark.parametrize(
    ("controllers", "services", "store"),
    [(1, [], "file"), (1, ["swift"], "file"), (3, ["swift"], "swift")],
)
def test_several_controllers_keep_images_where_all_have_them(
    controllers: int, services: list[str], store: str, ini: Ini
) -> None:
    conf = ini("glance", "glance-api.conf", controllers=controllers, services=services)
    assert conf["glance_store"]["default_backend"] == store


def test_several_controllers_with_folders_of_their_own_are_refused(
    make_model: Callable[..., Any], ini: Ini
) -> None:
    with pytest.raises(AnsibleUndefinedVariable, match="3 controllers would each have images"):
        make_model(controllers=3, services=[]).manifest("glance")
    shared = {"controllers": 3, "services": [], "glance_images_shared": True}
    assert ini("glance", "glance-api.conf", **shared)["glance_store"]["default_backend"] == "file"


def test_images_stay_readable_when_the_store_changes(ini: Ini) -> None:
    conf = ini("glance", "glance-api.conf", services=["swift"], glance_store="swift")
    assert conf["DEFAULT"]["enabled_backends"] == "file:file,swift:swift"
    assert conf["file"]["filesystem_store_datadir"] == "/var/lib/glance/images"
    assert conf["swift"]["swift_store_config_file"] == "/etc/glance/glance-swift.conf"


def test_without_swift_nothing_speaks_of_it(ini: Ini) -> None:
    conf = ini("glance", "glance-api.conf", services=[])
    assert conf["DEFAULT"]["enabled_backends"] == "file:file"
    assert "swift" not in conf


def test_glances_account_is_a_secret(make_model: Any) -> None:
    manifest = make_model("controller1", services=["swift"]).manifest("glance")
    (file,) = [f for f in manifest["files"] if f["path"] == "glance-swift.conf"]
    assert file["secret"]
    assert "key = service-of-glance\n" in file["content"]
    assert file["mode"] == "0640"


def test_no_option_that_the_store_reads_is_without_a_value(
    venv_of: Callable[[str], Path], ini: Ini, make_model: Any, tmp_path: Path
) -> None:
    python = venv_of("glance") / "bin/python"
    conf = ini("glance", "glance-api.conf", services=["swift"], glance_store="swift")
    manifest = make_model("controller1", services=["swift"]).manifest("glance")
    account, path = tmp_path / "swift.conf", tmp_path / "glance-api.conf"
    account.write_text(
        *[f["content"] for f in manifest["files"] if f["path"] == "glance-swift.conf"]
    )
    conf["swift"]["swift_store_config_file"] = str(account)
    conf["file"]["filesystem_store_datadir"] = str(tmp_path / "images")
    parser = configparser.RawConfigParser(default_section="")
    parser.read_dict({name: conf[name] for name in ("DEFAULT", "glance_store", "file", "swift")})
    with path.open("w") as file:
        parser.write(file)
    done = subprocess.run(
        [python, "-c", OPTIONS, path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    values = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert values["swift_store_container"] == "glance"
    assert {name for name, value in values.items() if value == "None"} == set()
