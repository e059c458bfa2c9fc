"""The base of Cairn's action plugins: the model and the probed state of the task's host.

Control node only: modules on hosts never import this.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from .. import PROJECT
from ..display import KNOWN, learn
from ..errors import CairnError
from ..service import manifest_cache, registry
from ..service.model import Model
from ..site import precedence
from .templates import keep_compiled, load_plugins, warm

TEMPLATE_OVERRIDES = {"trim_blocks": True, "lstrip_blocks": True}


@functools.cache
def role_file(path: Path) -> Any:
    """A YAML file of a role with its Jinja; cached, so callers must not change it."""
    return DataLoader().load_from_file(
        str(path), cache="none", unsafe=True, trusted_as_template=True
    )


def preload(project: Path = PROJECT) -> None:
    """Read and compile all roles' files before Ansible forks a worker for each host and task.

    Action plugins are imported before that. In each worker this would take three quarters of the
    time of a decision.
    """
    load_plugins()
    keep_compiled()
    roles = project / "roles"
    for pattern in ("vars/main.yml", "defaults/main.yml", "meta/argument_specs.yml"):
        for path in roles.glob(f"*/{pattern}"):
            read = role_file(path)
            if path.parent.name != "meta":
                warm(read)
    for path in roles.glob("*/templates/*"):
        warm(path.read_text(), **TEMPLATE_OVERRIDES)
    registry.merged()
    registry.scalars(project)
    registry.read(role_file, project)
    for role in registry.descriptions(project):
        manifest_cache.lasting(role, project)


class CairnAction(ActionBase):  # type: ignore[misc]
    """An action plugin that decides on the control node. Subclasses implement `work`.

    `work` gets the task's variables and returns the task's result; a CairnError is the task's
    failure, with its text.
    """

    ARGUMENTS: ClassVar[Mapping[str, Any]] = {}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Any:
        """Check the arguments and call `work`."""
        result = super().run(tmp, task_vars)
        unknown = sorted(set(self._task.args) - set(self.ARGUMENTS))
        if unknown:
            raise AnsibleActionFail(
                f"{self._task.action}: unknown argument {unknown[0]!r}; "
                f"it takes {sorted(self.ARGUMENTS)}"
            )
        try:
            result.update(self.work(dict(task_vars or {})))
        except CairnError as error:
            result.update(failed=True, msg=str(error))
        return self.masked(result, task_vars or {})

    def masked(self, result: dict[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The result with the secrets of this host's variables masked."""
        learn(variables, self._templar.template)
        shown: dict[str, Any] = KNOWN.data(result)
        return shown

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the task; returns its result."""
        raise NotImplementedError

    @property
    def check_mode(self) -> bool:
        """Whether this run is a plan."""
        return bool(self._task.check_mode)

    def argument(self, name: str) -> Any:
        """An argument of the task, or its default in ARGUMENTS."""
        return self._task.args.get(name, self.ARGUMENTS.get(name))

    def host_name(self, task_vars: Mapping[str, Any]) -> str:
        """The inventory name of the task's host."""
        return str(task_vars["inventory_hostname"])

    def host_state(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The host's probe from the start of the run, with the changes of this run."""
        state = task_vars.get("cairn_host")
        if not state:
            raise AnsibleActionFail(
                f"{self.host_name(task_vars)}: the host was not probed; start the play with "
                "playbooks/tasks/decide.yml"
            )
        return dict(state)

    def model(self, task_vars: dict[str, Any], host: str | None = None) -> Model:
        """The descriptions of all roles, for this task's host."""
        site = task_vars.get("cairn_site")
        if not site:
            raise AnsibleActionFail(
                "cairn_site was not computed; start the play with playbooks/tasks/decide.yml"
            )
        variables = {"cairn_host": {}, **task_vars}
        # The secrets are in a vaulted file; templating decrypts them.
        secrets = self._templar.template(variables.get("cairn_secrets") or {})
        variables["cairn_secrets"] = secrets
        mine = host in (None, task_vars.get("inventory_hostname"))
        name = host or self.host_name(task_vars)
        variables |= precedence.overrides(
            variables, name, registry.merged(), self._templar.template
        )

        def template(value: Any, available: Mapping[str, Any]) -> Any:
            return self._templar.copy_with_new_env(available_variables=available).template(value)

        def render(path: Path, available: Mapping[str, Any]) -> str:
            templar = self._templar.copy_with_new_env(
                available_variables=available, searchpath=[str(path.parent)]
            )
            text = templar.template(
                trust_as_template(path.read_text()),
                preserve_trailing_newlines=True,
                escape_backslashes=False,
                overrides=TEMPLATE_OVERRIDES,
            )
            return str(text)

        return Model(
            host=name,
            variables=variables,
            load=role_file,
            template=template,
            render=render,
            kept=task_vars.get("cairn_manifests") if mine else None,
        )

    def call(
        self, module: str, arguments: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Run a module on the host: one remote call. CairnError if it fails."""
        done: dict[str, Any] = self._execute_module(
            module_name=module, module_args=arguments, task_vars=task_vars
        )
        done.pop("invocation", None)
        if done.get("failed"):
            raise CairnError(done.get("msg") or str(done.get("module_stderr", "no message")))
        return done

    def remember(self, task_vars: Mapping[str, Any], **news: Any) -> None:
        """Update the host's state for the rest of the run; repeated calls of a task accumulate."""
        self.remembered = {**getattr(self, "remembered", {}), **news}
        state = {**self.host_state(task_vars), **self.remembered}
        self.register_host_variables({"cairn_host": state})

    def remember_change(self, task_vars: Mapping[str, Any], news: Mapping[str, Any]) -> None:
        """Update the host's state from the result of read_change; other services stay."""
        services = {**self.host_state(task_vars).get("services", {}), **news.get("services", {})}
        self.remember(task_vars, **{**news, "services": services})
