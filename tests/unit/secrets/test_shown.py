"""No secret in what a plan, a failure or a summary shows: for every role, on every host."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from cairn import display
from cairn.actions.base import CairnAction
from cairn.errors import CairnError
from cairn.masking import PUBLIC, Masker, needles
from cairn_host import paths
from cairn_host.masking import MASK
from cairn_host.service import staging


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Masker:
    """Nothing is known yet of any secret."""
    masker = Masker()
    monkeypatch.setattr(display, "KNOWN", masker)
    monkeypatch.setattr("cairn.actions.base.KNOWN", masker)
    return masker


class Shown(CairnAction):
    """An action that shows what it is given, or fails with it."""

    result: Any = None

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        if isinstance(self.result, str):
            raise CairnError(self.result)
        return {"changed": True, "diff": self.result}


def tell(result: Any, variables: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the action's result is in the end."""
    patch.setattr(ActionBase, "run", lambda *_: {})
    action = Shown.__new__(Shown)
    action._task = SimpleNamespace(args={}, action="shown")
    action._templar = SimpleNamespace(template=lambda value: value)
    action.result = result
    done: dict[str, Any] = action.run(None, variables)
    return done


def strays(text: str, variables: dict[str, Any]) -> set[str]:
    """Names of secrets that stand in a text, in any form."""
    return {
        name
        for name, value in variables["cairn_secrets"].items()
        if name not in PUBLIC and any(needle in text for needle in needles([value]))
    }


def test_what_is_shown_of_no_role_holds_a_secret(
    models: list[Any], fresh: Masker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "UNITS", tmp_path)
    tried: set[str] = set()
    for where, model, manifests in models:
        variables = {"cairn_secrets": model.secrets}
        differences = []
        for manifest in manifests.values():
            differences += staging.show_difference(manifest)
        done = tell(differences, variables, monkeypatch)
        assert strays(json.dumps(done), variables) == set(), where
        assert len(done["diff"]) == len(differences) > 5
        # And a module or a command that fails with whole files in its mouth.
        files = [file for manifest in manifests.values() for file in manifest["files"]]
        texts = [str(file.get("content", "")) for file in files]
        tried |= strays("\n".join(texts), variables)
        failed = tell("\n".join(texts), variables, monkeypatch)
        assert failed["failed"] and strays(failed["msg"], variables) == set(), where
    assert len(tried) > 30, "the files of the roles hold few secrets"


# --- what other modules show ----------------------------------------------------------------------

SECRET = "Zr9xQ2mB7vLk4pTn"
SUDO = "sudo-Zr9xQ2mB"
PLAYBOOK = """
- name: Show
  hosts: localhost
  gather_facts: false
  tasks:
    - name: A file of another module
      ansible.builtin.copy:
        dest: "{{ place }}"
        content: "[x]\\nfrobnicate = {{ cairn_secrets.queue_nova }}\\n"
        mode: "0600"
    - name: A message
      ansible.builtin.debug:
        msg: "it is {{ cairn_secrets.derived }} and {{ ansible_become_password }}"
    - name: A warning
      ansible.builtin.command:
        argv: [sh, -c, "echo http://u:{{ cairn_secrets.queue_nova | urlencode }}@h >&2; exit 3"]
      ignore_errors: true
    - name: An error in a template
      ansible.builtin.debug:
        msg: "{{ cairn_secrets.queue_nova | no_such_filter }}"
      ignore_errors: true
    - name: A failure
      ansible.builtin.fail:
        msg: "cannot log in with {{ (cairn_secrets.queue_nova ~ ':') | b64encode }}"
"""


@pytest.mark.parametrize("shown_by", ["cairn_progress", "default", "minimal", "ansible.posix.json"])
def test_nothing_that_a_run_prints_or_keeps_holds_a_secret(
    root: Path, tmp_path: Path, shown_by: str
) -> None:
    """Neither when the operator's own environment chooses other callbacks."""
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    variables = {
        "cairn_secrets": {"queue_nova": SECRET, "derived": "{{ 'der' ~ 'ived-secret' }}"},
        "ansible_become_password": SUDO,
        "place": str(tmp_path / "file"),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    inventory = {"all": {"hosts": {"localhost": {"ansible_connection": "local", **variables}}}}
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    log = tmp_path / "log"
    report = root / ".cache/last-run.json"
    kept = report.read_bytes() if report.exists() else None
    try:
        done = subprocess.run(
            [
                *(str(root / ".venv/bin/ansible-playbook"), "-i", str(tmp_path / "hosts.json")),
                *(str(tmp_path / "play.yml"), "--diff", "-vvv"),
            ],
            cwd=root,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")},
                **{"ANSIBLE_LOG_PATH": str(log), "ANSIBLE_LOG_VERBOSITY": "4"},
                **{"ANSIBLE_STDOUT_CALLBACK": shown_by, "ANSIBLE_CALLBACKS_ENABLED": "oneline"},
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert shown_by == "minimal" or "frobnicate = " + MASK in done.stdout
        assert "cannot log in with" in done.stdout
        wrote = report.read_text()
        assert "cannot log in with" in wrote and stat.S_IMODE(report.stat().st_mode) == 0o600
    finally:
        if kept is not None:
            report.write_bytes(kept)
    for text in (done.stdout, done.stderr, log.read_text(), wrote):
        for secret in (SECRET, SUDO, "derived-secret", "WnI5eFEybUI3dkxrNHBUbj"):
            assert secret not in text
    assert "it is " in log.read_text()
    assert SECRET in (tmp_path / "file").read_text()  # only what is shown is masked


def test_the_display_masks_once_and_in_its_log(
    fresh: Masker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    screen = SimpleNamespace(display=lambda msg, **_: shown.append(msg), _log=shown.append)
    for _ in range(2):  # both callbacks ask for it
        display.mask_display(screen)
    fresh.learn([SECRET])
    screen.display(f"a {SECRET}", color="red")
    screen._log(f"b {SECRET}")
    screen.display(b"c")
    assert shown == [f"a {MASK}", f"b {MASK}", b"c"]


def test_a_play_whose_variables_cannot_be_read_ends_with_the_reason_of_its_own(
    fresh: Masker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "_seen", set())

    def refuse(**_: Any) -> None:
        raise AnsibleError("Decryption failed")

    host = SimpleNamespace(name="a")
    inventory = SimpleNamespace(get_hosts=lambda pattern: [host] if pattern == "all" else [])
    manager = SimpleNamespace(_inventory=inventory, _loader=None, get_vars=refuse)
    play = SimpleNamespace(hosts="stale", get_variable_manager=lambda: manager)
    display.learn_of_play(play)
    manager.get_vars = lambda **_: {"cairn_secrets": {"queue_nova": SECRET}}
    monkeypatch.setattr(display, "_seen", set())
    display.learn_of_play(play)
    assert fresh.text(SECRET) == MASK


def test_a_template_that_gives_a_path_is_no_secret(fresh: Masker) -> None:
    rendered = {"{{ tls_key }}": "/etc/cairn/tls/host.key", "{{ word }}": SECRET}
    variables = {"site_options": {"ssl_key": "{{ tls_key }}", "password": "{{ word }}"}}
    display.learn(variables, rendered.__getitem__)
    assert fresh.text(f"/etc/cairn/tls/host.key {SECRET}") == f"/etc/cairn/tls/host.key {MASK}"
