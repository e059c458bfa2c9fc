"""Root writes into folders of services' users, and follows no link that they put there."""

from __future__ import annotations

import ast
import getpass
import grp
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from cairn_host import files
from cairn_host.errors import HostError

NOBODY = 65534
ME = getpass.getuser()
GROUP = grp.getgrgid(os.getgid()).gr_name
# What root writes to, or makes, besides what the manifests name.
ALSO = [
    "/var/lib/nova/compute_id",
    "/var/lib/swift/rings/swift.conf",
    "/var/lib/swift/rings/object.ring.gz",
    "/var/lib/keystone/fernet-keys/0",
    "/var/lib/keystone/credential-keys/1",
    "/srv/node/d1",
]


class Home:
    """A folder that a service's user may write to, and what is of value elsewhere."""

    def __init__(self, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
        self.path = tmp_path / "home"
        self.path.mkdir()
        self.treasure = tmp_path / "treasure"
        self.treasure.mkdir(mode=0o700)
        self.victim = self.treasure / "shadow"
        self.victim.write_text("root's own")
        self.victim.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(self.path, NOBODY, NOBODY)
        else:  # a folder of this user's stands for one of a service's user
            patch.setattr(os, "geteuid", lambda: NOBODY)
        self.before = self.look()

    def look(self) -> list[Any]:
        """What an attack would change."""
        seen = []
        for path in (self.treasure, *sorted(self.treasure.rglob("*"))):
            found = path.lstat()
            seen.append((str(path), found.st_mode, found.st_uid, found.st_gid))
        return [*seen, self.victim.read_text()]

    def untouched(self) -> bool:
        return self.look() == self.before


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def known(models: list[Any]) -> dict[str, str]:
    """Every path in a folder of a service's user that root writes or makes, and which it is."""
    paths = dict.fromkeys(ALSO, "file")
    for manifest in [manifest for *_, manifests in models for manifest in manifests.values()]:
        user = manifest["user"]
        if user.get("name") and not user.get("external"):
            paths[user.get("home", f"/var/lib/{user['name']}")] = "folder"
        paths |= {entry["path"]: "folder" for entry in manifest["directories"]}
        paths |= {f["path"]: "file" for f in manifest["files"] if f["path"].startswith("/var")}
    return {path: kind for path, kind in paths.items() if not path.startswith("/var/lib/cairn")}


def put(path: Path, kind: str) -> None:
    """Have it as root does."""
    if kind == "folder":
        files.ensure_directory({"path": str(path), "owner": ME, "group": GROUP, "mode": "0750"})
    else:
        files.write_atomic(path, b"new", 0o644, ME, GROUP)


def test_known_paths_are_those_of_the_roles(known: dict[str, str]) -> None:
    assert known["/var/lib/rabbitmq/.erlang.cookie"] == "file"
    assert known["/var/lib/keystone/fernet-keys"] == known["/var/lib/nova"] == "folder"
    assert len(known) > 20


def test_no_known_path_leads_root_away_by_a_link_in_its_place(
    known: dict[str, str], home: Home
) -> None:
    for path, kind in known.items():
        place = home.path / Path(path).name
        place.symlink_to(home.victim if kind == "file" else home.treasure)
        if kind == "file":  # the link itself is replaced
            put(place, kind)
            assert not place.is_symlink() and place.read_text() == "new"
        else:
            with pytest.raises(HostError, match=f"{place.name} is a symbolic link .* remove it"):
                put(place, kind)
            place.unlink()
        assert home.untouched(), path


def test_no_known_path_leads_root_away_by_a_link_above_it(
    known: dict[str, str], home: Home
) -> None:
    for path, kind in known.items():
        place = home.path / "swapped" / Path(path).name
        place.parent.symlink_to(home.treasure)
        with pytest.raises(HostError, match="swapped is a symbolic link"):
            put(place, kind)
        with pytest.raises(HostError, match="swapped is a symbolic link"):
            files.link_atomic(place, Path("/nowhere"))
        for call in (files.remove, files.read_file):
            with pytest.raises(HostError, match="swapped is a symbolic link"):
                call(place.parent / "shadow")
        with pytest.raises(HostError, match="swapped is a symbolic link"):
            files.names_in(place.parent)
        place.parent.unlink()
        assert home.untouched(), path


def test_no_known_path_leads_root_away_by_a_link_at_the_name_it_writes_under(
    known: dict[str, str], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    guess = "0" * 16
    for path in [path for path, kind in known.items() if kind == "file"]:
        place = home.path / Path(path).name
        (home.path / f".{place.name}.cairn").symlink_to(home.victim)  # the name of older versions
        put(place, "file")
        # And one that was guessed.
        (home.path / f".{place.name}.{guess}.cairn").symlink_to(home.victim)
        with monkeypatch.context() as patch:
            patch.setattr(secrets, "token_hex", lambda _: guess)
            with pytest.raises(HostError, match="File exists"):
                put(place, "file")
        assert home.untouched(), path


def test_a_link_of_roots_own_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "etc").symlink_to("disk")
    files.write_atomic(tmp_path / "etc/nova.conf", b"x", 0o600, ME, GROUP)
    assert (tmp_path / "disk/nova.conf").read_bytes() == b"x"
    assert files.ensure_directory(
        {"path": str(tmp_path / "etc/a/b"), "owner": ME, "group": GROUP, "mode": "0700"}
    ) == [f"folder {tmp_path / 'etc/a/b'}", f"mode of {tmp_path / 'etc/a/b'}"]
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(HostError, match="Too many levels of symbolic links"):
        files.write_atomic(tmp_path / "round/x", b"x", 0o600, ME, GROUP)


def test_a_link_in_a_folder_that_everybody_may_write_to_is_followed_if_root_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "there").mkdir()
    (shared / "here").symlink_to(tmp_path / "there")
    for mode, follows in ((0o1777, True), (0o777, False), (0o775, False), (0o755, True)):
        shared.chmod(mode)
        if follows:
            files.write_atomic(shared / "here/x", b"x", 0o600, ME, GROUP)
        else:
            with pytest.raises(HostError, match="here is a symbolic link"):
                files.write_atomic(shared / "here/x", b"x", 0o600, ME, GROUP)


def test_below_a_services_folder_no_link_is_followed_even_in_a_folder_of_roots(
    home: Home,
) -> None:
    (home.path / "a").mkdir()  # its user may give it another's name
    (home.path / "a/b").symlink_to(home.treasure)
    with pytest.raises(HostError, match="b is a symbolic link"):
        files.write_atomic(home.path / "a/b/c", b"x", 0o600, ME, GROUP)


def test_nothing_is_left_when_the_account_is_missing(tmp_path: Path) -> None:
    for owner, group, kind in (("no-such-user", GROUP, "user"), (ME, "no-such-group", "group")):
        with pytest.raises(HostError, match=f"there is no {kind} no-such-{kind}: .*run site.yml"):
            files.write_atomic(tmp_path / "x", b"secret", 0o600, owner, group)
        with pytest.raises(HostError, match=f"there is no {kind} no-such-{kind}"):
            files.ensure_directory({"path": tmp_path / "d", "owner": owner, "group": group})
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_a_write_is_refused_or_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(HostError, match=f"{tmp_path}/x: Is a directory"):
        files.write_atomic(tmp_path / "x", b"secret", 0o600, ME, GROUP)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomic(tmp_path / "y", b"secret", 0o600, ME, GROUP)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_a_power_loss_left_goes_with_the_next_write(tmp_path: Path) -> None:
    left = [tmp_path / f".x.{digit * 16}.cairn" for digit in "01"]
    for path in (*left, tmp_path / ".xy.0000000000000000.cairn"):
        path.write_text("secret")
    os.utime(left[0], (0, time.time() - 2 * files.LEFT_AFTER))
    files.write_atomic(tmp_path / "x", b"secret", 0o600, ME, GROUP)
    # Another may be writing the younger one right now.
    assert {path.name for path in tmp_path.iterdir()} == {
        "x",
        left[1].name,
        ".xy.0000000000000000.cairn",
    }


def test_only_plain_files_are_read(home: Home) -> None:
    (home.path / "0").symlink_to(home.victim)
    with pytest.raises(HostError, match="0 is a symbolic link"):
        files.read_file(home.path / "0")
    os.mkfifo(home.path / "1")
    with pytest.raises(HostError, match="no plain file"):
        files.read_file(home.path / "1")
    assert files.read_file(home.path / "2") is None
    assert files.read_file(home.path / "none/2") is None
    assert files.names_in(home.path / "none") == []
    assert not files.remove(home.path / "2")
    assert files.remove(home.path / "0")
    assert home.untouched()


def test_keystones_keys_are_no_way_to_read_what_is_roots(
    script: Callable[[str], ModuleType], home: Home
) -> None:
    module = script("plugins/modules/cairn_keys.py")
    (home.path / "5").symlink_to(home.victim)
    asked = {"repositories": [str(home.path)], "keys": None, "generate": True, "owner": ME}
    with pytest.raises(HostError, match="5 is a symbolic link"):
        module.keep(asked, False)
    assert home.untouched()


def file(**asked: Any) -> dict[str, Any]:
    default = {"content": None, "target": None, "mode": "0640", "replace": True}
    return {**default, "owner": ME, "group": GROUP, **asked}


def test_a_file_by_module_is_what_it_should_be_and_then_stays(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    module = script("plugins/modules/cairn_file.py")
    keep = module.keep
    place = tmp_path / "a/id"
    asked = file(path=str(place), content="one\n")
    assert keep(asked, True)["changed"] and not place.parent.exists()
    assert keep(asked, False)["diff"]["after"] == "one\n"
    assert place.read_text() == "one\n" and place.stat().st_mode & 0o777 == 0o640
    assert not keep(asked, False)["changed"]
    assert not keep(file(path=str(place), content="two", replace=False), False)["changed"]
    place.chmod(0o644)
    assert keep(asked, False)["changed"] and not keep(asked, False)["changed"]
    link = file(path=str(place), target="/etc/swift/swift.conf")
    assert keep(link, False)["changed"] and not keep(link, False)["changed"]
    assert place.readlink() == Path("/etc/swift/swift.conf")
    missing = file(path=str(place), content="x", owner="no-such-user")
    assert keep(missing, True)["changed"]  # a plan on a bare host
    with pytest.raises(HostError, match="no user no-such-user"):
        keep(missing, False)


# --- nothing else writes ------------------------------------------------------------------------

WRITES = {
    *("write_text", "write_bytes", "chmod", "chown", "fchmod", "fchown", "lchown", "mkdir"),
    *("makedirs", "rename", "symlink", "symlink_to", "hardlink_to", "touch", "unlink", "rmtree"),
    *("copy2", "copyfile", "copytree", "move", "mkstemp", "mkdtemp", "NamedTemporaryFile"),
    *("TemporaryDirectory", "rmdir", "link", "truncate", "utime", "extractall", "removedirs"),
}
OPENS = re.compile(r"O_(WRONLY|RDWR|CREAT)|['\"][rbt]*[wax+][b+t]*['\"]")
ROOTS = "its folders are root's alone"
ALLOWED = {
    "files.py": "this is the one place",
    "lock.py": f"/var/lib/cairn: {ROOTS}",
    "staging.py": f"generations lie below /var/lib/cairn: {ROOTS}",
    "virtualenv.py": f"/opt/cairn and /var/cache/cairn: {ROOTS}",
    "oslo_validator.py": f"in the virtualenv: {ROOTS}",
    "commit.py": f"/etc/systemd/network and /var/lib/cairn/network: {ROOTS}; stands alone",
    "ring_files.py": f"/var/lib/cairn/rings: {ROOTS}; and unnamed files in /tmp",
    "switching.py": f"/etc and /var/lib/cairn: {ROOTS}",
    "cairn_stage.py": f"/var/cache/cairn: {ROOTS}",
    "tls.py": f"/etc/cairn/tls: {ROOTS}",
    "definitions.py": "a file of its own in /run, which is root's",
    "haproxy_admin.py": "in /run/haproxy under a random name, by mkstemp; stands alone",
    "draining.py": f"/run/cairn: {ROOTS}",
    "cairn_lease.py": f"/var/lib/cairn: {ROOTS}",
    "apt_sources.py": "a file of its own in /run, which is root's",
    "records.py": f"/var/lib/cairn: {ROOTS}",
    "object_disks.py": "a file for mkfs.xfs of its own in /tmp",
}


def shipped(root: Path) -> Iterator[Path]:
    """All that runs on managed hosts: modules, what ships with them, programs of the roles."""
    yield from (root / "plugins/modules").glob("*.py")
    yield from (root / "plugins/module_utils/cairn_host").rglob("*.py")
    yield from root.glob("roles/*/files/*.py")


def writes(path: Path) -> Iterator[str]:
    """Calls by which a program may write, make, remove or give away a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        text = ast.unparse(node)
        opens = name == "open" and re.search(
            r"O_(WRONLY|RDWR|CREAT)|['\"][rbt]*[wax+][b+t]*['\"]", text
        )
        # str.replace takes two arguments, Path.replace one.
        moves = name == "replace" and len(node.args) == 1 and not node.keywords
        removes = name in ("replace", "remove", "removexattr") and text.startswith("os.")
        if name in WRITES or opens or moves or removes:
            yield f"{path.name}:{node.lineno}: {text[:80]}"


def test_host_code_writes_by_files_only(root: Path) -> None:
    found: dict[str, list[str]] = {}
    for path in shipped(root):
        found.setdefault(path.name, []).extend(writes(path))
    strays = [call for name, calls in found.items() if name not in ALLOWED for call in calls]
    assert strays == [], "write by files.write_atomic, link_atomic, ensure_directory or remove"
    assert {name for name in ALLOWED if not found.get(name)} == set(), "no exception is needed"


def test_the_search_for_writes_finds_them(tmp_path: Path) -> None:
    program = tmp_path / "x.py"
    lines = ["open(p, 'w')", "p.open(mode='ab')", "os.open(p, os.O_CREAT)", "p.replace(q)"]
    lines += ["os.replace(a, b)", "shutil.copy2(a, b)", "os.chown(p, 1, 1)", "p.write_text('x')"]
    quiet = ["text.replace('a', 'b')", "open(p)", "os.open(p, os.O_RDONLY)", "names.remove(x)"]
    program.write_text("\n".join([*lines, *quiet]))
    assert len(list(writes(program))) == len(lines)


# Ansible's own modules follow links. Where the operator's machine is meant, or root's own folders,
# they may be used.
ALLOWED_TASKS = {
    "operator": "the operator's own folder on the control node",
    "mysql": "/run/mariadb-wsrep-new-cluster: /run is root's",
}
MODULES = {"copy", "file", "template", "lineinfile", "blockinfile", "replace", "unarchive"}


def test_roles_write_into_services_folders_by_cairn_file_only(root: Path) -> None:
    used = set()
    for path in (root / "roles").glob("*/tasks/*.yml"):
        for task in tasks_of(yaml.safe_load(path.read_text()) or []):
            names = {str(key).removeprefix("ansible.builtin.") for key in task}
            if names & MODULES:
                used.add(path.parts[-3])
    assert used == set(ALLOWED_TASKS)


def tasks_of(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield entry
        for part in ("block", "rescue", "always"):
            yield from tasks_of(entry.get(part) or [])
