"""Images in the object store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleUndefinedVariable

Ini = Callable[..., dict[str, dict[str, str]]]


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
