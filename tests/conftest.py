"""What tests of several folders share."""

from __future__ import annotations

import configparser
import copy
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar, trust_as_template

from cairn.actions.base import role_file
from cairn.actions.templates import keep_compiled, load_plugins
from cairn.service import registry
from cairn.service.model import Model
from cairn.site.certificates import certificate_authority
from cairn.site.secrets import required

ROOT = Path(__file__).resolve().parent.parent
# Processes that tests start keep what they compile: nova's code takes each of them eight seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


class OneName(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives modules, which import `ansible.module_utils.cairn_host`, what tests import.

    In the archive that is sent to a host there is the first name only.
    """

    OURS = re.compile(r"ansible\.module_utils\.(cairn_host(?:\..+)?)")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """A spec for names of ours."""
        return importlib.machinery.ModuleSpec(name, self) if self.OURS.fullmatch(name) else None

    def create_module(self, spec: Any) -> ModuleType:
        """The module that has the other name."""
        found = self.OURS.fullmatch(spec.name)
        assert found
        module = importlib.import_module(found[1])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already, under its own name."""
        assert module.__spec__
        module.__spec__ = module.__spec__.loader_state


sys.meta_path.insert(0, OneName())


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the directory of the whole project."""
    return ROOT


@pytest.fixture(scope="session")
def copy_project(root: Path) -> Callable[[Path], None]:
    """Return a function that copies what git knows or would add, with this project's tools."""

    def copy(place: Path) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (root / name).is_file():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, place / name)
        (place / ".venv").symlink_to(root / ".venv")

    return copy


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """Return a function that imports a script of the project by its path, with any ending."""

    def load(path: str) -> ModuleType:
        name = "script_" + path.replace("/", "_").replace("-", "_").removesuffix(".py")
        loader = importlib.machinery.SourceFileLoader(name, str(ROOT / path))
        spec = importlib.util.spec_from_loader(name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look themselves up there
        loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def venv_of(root: Path) -> Callable[[str], Path]:
    """Return a function that gives the virtualenv of a lock, or skips where it was not made."""

    def get(lock: str) -> Path:
        folder = root / ".cache/venvs/2026.1" / lock
        if not (folder / "bin/python").exists():
            pytest.skip(f"no virtualenv for {lock}: make venvs")
        return folder

    return get


# --- the lab, for tests that are marked so ------------------------------------------------------


@pytest.fixture(scope="session")
def on(root: Path) -> Callable[..., str]:
    """Run a shell command on a host of the lab, as root; its output.

    What it reads comes from a file, for pytest shows the arguments of whatever fails.
    """

    def run(host: str, command: str, stdin: Any = subprocess.DEVNULL, timeout: float = 300) -> str:
        argv = [sys.executable, "-m", "lab", "ssh", host, command]
        done = subprocess.run(
            argv,
            cwd=root,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{host}: {command[:80]}: {done.stderr[-2000:]}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def lab_site(root: Path) -> dict[str, Any]:
    """cairn_site of the lab; making it asks no host."""
    inventory = f"inventories/{os.environ.get('CAIRN_LAB') or 'lab'}"
    argv = [str(Path(sys.executable).with_name("ansible")), "-i", inventory]
    done = subprocess.run(
        [*argv, "controller[0]", "-m", "cairn_site"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = yaml.safe_load(done.stdout.partition("=>")[2])
    return found


@pytest.fixture(scope="session")
def planes(root: Path) -> dict[str, Any]:
    """Return the planes of the lab's inventory, by name."""
    written = yaml.safe_load((root / "inventories/lab/group_vars/all/planes.yml").read_text())
    return dict(written["cairn_planes"])


@pytest.fixture(scope="session")
def lab_hosts(lab_site: dict[str, Any]) -> list[str]:
    """Names of the lab's managed hosts."""
    return list(lab_site["hosts"])


# --- a made-up site ----------------------------------------------------------------------------


def host_variables(
    number: int, planes: dict[str, Any], providers: dict[str, Any], mac: str = "52:54:00:00"
) -> dict[str, Any]:
    """A host's variables, as its inventory has them; `mac` is what its NICs' begin with."""
    return {
        "cairn_planes": copy.deepcopy(planes),
        "cairn_provider_networks": copy.deepcopy(providers),
        "cairn_host_number": number,
        "cairn_nics": {
            "mgmt0": {"mac": f"{mac}:00:{number}"},
            "stor0": {"mac": f"{mac}:14:{number}", "mtu": 9000},
            "serv0": {"mac": f"{mac}:1e:{number}"},
        },
        "cairn_host_planes": {
            "management": {"interface": "mgmt0"},
            "storage": {"interface": "stor0"},
            "service": {"interface": "serv0"},
        },
    }


def host(number: int, *groups: str) -> dict[str, Any]:
    planes = {"management": "192.0.2", "storage": "198.51.100", "service": "203.0.113"}
    return {
        "groups": list(groups),
        "number": number,
        "addresses": {plane: f"{net}.{number}" for plane, net in planes.items()},
        "devices": {"management": "mgmt0", "storage": "stor0.20", "service": "serv0.30"},
        "provider_interface": "serv0" if "network" in groups else None,
    }


def site(controllers: int, services: Sequence[str] = ()) -> dict[str, Any]:
    """A site as cairn_site has it, with that many controllers and those optional services."""
    hosts = {
        **{f"controller{n}": host(n, "controller") for n in range(1, controllers + 1)},
        "network1": host(11, "network"),
        "compute1": host(21, "compute"),
        "compute2": host(22, "compute"),
        **({f"storage{n}": host(30 + n, "storage") for n in (1, 2, 3)} if services else {}),
    }
    plane = {"prefix": 24, "vlan": None, "mtu": 1500, "gateway": None, "vip": None}
    return {
        "release": "2026.1",
        "services": sorted(services),
        "region": "RegionOne",
        "inventory": "inventories/test",
        "hosts": hosts,
        "groups": {
            group: [name for name, data in hosts.items() if group in data["groups"]]
            for group in ("controller", "network", "compute", "storage")
        },
        "planes": {
            "management": {**plane, "cidr": "192.0.2.0/24", "vip": "192.0.2.250"},
            "storage": {**plane, "cidr": "198.51.100.0/24", "mtu": 9000},
            "service": {**plane, "cidr": "203.0.113.0/24", "vip": "203.0.113.250"},
        },
        "names": {"internal": "internal.example", "public": "cloud.example"},
        "vips": {"internal": "192.0.2.250", "public": "203.0.113.250"},
        "provider_networks": {
            "external": {"type": "flat", "cidr": "203.0.113.0/24"},
            "racks": {"type": "vlan", "vlans": "100-199"},
        },
    }


OPTIONAL = tuple(registry.optional(registry.descriptions()))


@pytest.fixture(scope="session")
def authority() -> tuple[str, str]:
    """A certificate authority: certificate and key, PEM."""
    return certificate_authority()


@pytest.fixture(scope="session")
def secrets(authority: tuple[str, str]) -> dict[str, str]:
    """Every secret of the site, such as `database-of-nova` and `erlang_cookie-value`."""
    names = required(registry.descriptions(), {"management": {"vip": "x"}, "service": {"vip": "x"}})
    values = {}
    for name in names:
        kind, _, whose = name.partition("_")
        owned = kind in ("database", "queue", "service")
        values[name] = f"{kind}-of-{whose}" if owned else f"{name}-value"
        if kind == "keepalived":
            values[name] = f"vip-{whose}"[:8]  # it takes no longer one
    return values | dict(zip(("ca_certificate", "ca_key"), authority, strict=True))


@pytest.fixture(scope="session")
def make_model(root: Path, secrets: dict[str, str]) -> Callable[..., Model]:
    """Make the model of a host of the made-up site, with the real roles and Ansible's templating.

    `services` are the optional ones that the site has; more keywords are host variables.
    """
    init_plugin_loader()
    filter_loader.add_directory(str(root / "filter_plugins"))
    # As actions do: files are read and compiled once.
    load_plugins()
    keep_compiled()
    loader = DataLoader()

    def template(value: Any, variables: Mapping[str, Any]) -> Any:
        return Templar(loader=loader, variables=dict(variables)).template(value)

    def render(path: Path, variables: Mapping[str, Any]) -> str:
        templar = Templar(loader=loader, variables=dict(variables))
        return str(
            templar.template(
                trust_as_template(path.read_text()),
                preserve_trailing_newlines=True,
                escape_backslashes=False,
                overrides={"trim_blocks": True, "lstrip_blocks": True},
            )
        )

    def make(
        name: str = "controller1",
        controllers: int = 1,
        services: Sequence[str] = (),
        **variables: Any,
    ) -> Model:
        made = site(controllers, services)
        known = {
            "cairn_site": made,
            "cairn_secrets": secrets,
            "cairn_host": {"cpus": 1, "cpu_flags": []},
            "inventory_hostname": name,
            **variables,
        }
        return Model(
            host=name,
            variables=known,
            load=role_file,
            template=template,
            render=render,
            project=root,
        )

    return make


@pytest.fixture(scope="session")
def manifest_of(make_model: Callable[..., Model]) -> Callable[..., Any]:
    """Give the manifest of a role on a host; without host variables it is made once."""

    @functools.cache
    def plain(role: str, name: str, controllers: int, services: tuple[str, ...]) -> Any:
        return make_model(name, controllers, services).manifest(role)

    def get(
        role: str, name: str, controllers: int = 1, services: Sequence[str] = (), **variables: Any
    ) -> Any:
        if variables:
            return make_model(name, controllers, services, **variables).manifest(role)
        return copy.deepcopy(plain(role, name, controllers, tuple(services)))

    return get


@pytest.fixture(scope="session")
def content(manifest_of: Callable[..., Any]) -> Callable[..., str]:
    """Give the content of a file that a role makes for a host."""

    def get(role: str, path: str, name: str = "controller1", **arguments: Any) -> str:
        manifest = manifest_of(role, name, **arguments)
        assert manifest is not None, f"{role} has no part on {name}"
        (found,) = [file["content"] for file in manifest["files"] if file["path"] == path]
        return str(found)

    return get


@pytest.fixture
def ini(content: Callable[..., str]) -> Callable[..., dict[str, dict[str, str]]]:
    """Give a rendered INI file by section and option."""

    def get(*arguments: Any, **keywords: Any) -> dict[str, dict[str, str]]:
        parser = configparser.RawConfigParser(default_section="none", strict=True)
        parser.read_string(content(*arguments, **keywords))
        return {name: dict(parser[name]) for name in parser.sections()}

    return get


@pytest.fixture
def units(manifest_of: Callable[..., Any]) -> Callable[..., dict[str, dict[str, Any]]]:
    """Give the units that a host has of a role, by name."""

    def get(role: str, name: str, **keywords: Any) -> dict[str, dict[str, Any]]:
        manifest = manifest_of(role, name, **keywords)
        assert manifest is not None
        return {unit["name"]: unit for unit in manifest["units"]}

    return get


@contextmanager
def served_by_uwsgi(venv: Path, ini: str, folder: Path) -> Iterator[str]:
    """The URL of what `ini` describes, run in `folder` as its unit does but on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    text, changed = re.subn(r"(?m)^(http-socket = ).*$", rf"\g<1>{address}", ini)
    assert changed == 1
    file, log = folder / "uwsgi.ini", folder / "uwsgi.log"
    file.write_text(text)
    with log.open("w") as output:
        server = subprocess.Popen(
            [str(venv / "bin/uwsgi"), "--ini", str(file)],
            env={"PATH": f"{venv}/bin:/usr/bin:/bin"},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 120
        while "spawned uWSGI worker" not in log.read_text():
            assert time.monotonic() < deadline and server.poll() is None, log.read_text()
            time.sleep(0.2)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="session")
def uwsgi() -> Callable[[Path, str, Path], AbstractContextManager[str]]:
    """Return a function that runs uWSGI of a virtualenv, and gives its URL as long as it runs."""
    return served_by_uwsgi
