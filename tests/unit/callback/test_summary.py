"""The summary's callback in a real run, and the count of remote calls."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from cairn.remote_calls import REMOTE, CallCounter


def test_only_calls_over_a_remote_connection_count() -> None:
    class Executor:
        _host = SimpleNamespace(name="compute1")

        def _get_connection(self, transport: str) -> SimpleNamespace:
            calls = {name: lambda *args: args for name in REMOTE}
            return SimpleNamespace(transport=transport, **calls)

    counter = CallCounter()
    counter.know(["compute1", "compute2"])
    counter.install(Executor)
    for transport in ("ssh", "local"):
        connection = Executor()._get_connection(transport)
        assert connection.exec_command("true") == ("true",)
        connection.put_file("a", "b")
    assert counter.counts() == {"compute1": 2, "compute2": 0}


def play_for_real(root: Path, folder: Path, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """Run tasks on a local and on an unreachable host; the report that the callback wrote."""
    play = {"hosts": "all", "gather_facts": False, "tasks": tasks}
    # Port 9 of the loopback address refuses at once.
    host = {"ansible_host": "127.0.0.1", "ansible_port": 9}
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    near = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"all": {"hosts": {"near": near, "far": host}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    plugins = folder / "plugins/callback"
    plugins.mkdir(parents=True)
    source = root / "plugins/callback/cairn_summary.py"
    (plugins / source.name).write_text(source.read_text())
    (folder / "ansible.cfg").write_text(
        "[defaults]\ncallback_plugins = plugins/callback\ncallbacks_enabled = cairn_summary\n"
        "[ssh_connection]\nretries = 0\n"
    )
    subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", "play.yml"],
        cwd=folder,
        check=False,
        capture_output=True,
    )
    found: dict[str, Any] = json.loads((folder / ".cache/last-run.json").read_text())
    return found


def test_a_real_run_is_counted_over_its_forks(root: Path, tmp_path: Path) -> None:
    """The counters are shared with the processes that Ansible forks for its tasks."""
    report = play_for_real(
        root,
        tmp_path,
        [
            {"name": "Go there", "ansible.builtin.ping": {}, "ignore_unreachable": True},
            {"name": "Keep it", "ansible.builtin.debug": {"msg": "hush"}, "no_log": True},
        ],
    )
    calls = {name: host["remote_calls"] for name, host in report["hosts"].items()}
    assert calls == {"near": 0, "far": 1}
    assert "hush" not in json.dumps(report)


def test_of_a_loop_that_fails_the_reason_is_kept(root: Path, tmp_path: Path) -> None:
    """Ansible itself says only that one or more items failed."""
    failing = {
        "name": "Stage",
        "ansible.builtin.assert": {"that": "item != 'keystone'", "fail_msg": "{{ item }} refused"},
        "loop": ["base", "keystone", "nova"],
        "when": "inventory_hostname == 'near'",
    }
    report = play_for_real(root, tmp_path, [failing])
    assert report["hosts"]["near"]["failed"] == [{"task": "Stage", "message": "keystone refused"}]
