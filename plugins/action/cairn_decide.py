"""Action: decide, on the controller alone, what is to be done on a host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from cairn.actions.base import CairnAction, preload, role_file
from cairn.errors import DescriptionError
from cairn.preflight.partial import member
from cairn.service import kept
from cairn.service.model import Model, due_records, stale

preload()


class ActionModule(CairnAction):
    """Compares what the host should have with what it says it has; no remote call.

    Puts the host into the group `stale_<role>` for each service that is to be worked on, and sets
    the variables `cairn_stale`, role to reasons, `cairn_venvs`, the virtualenvs that it lacks,
    `cairn_due_records`, the records that the run is to renew, `cairn_manifests`, from which later
    tasks go on, and `cairn_member`, by which `cairn_limit` judges a partial run.
    """

    ARGUMENTS: ClassVar = {"only": None}
    _requires_connection = False

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Decide; returns `stale`, role to reasons."""
        state = self.host_state(task_vars)
        model = self.model({**task_vars, "cairn_manifests": None})
        self.check_variables(model)
        reasons = stale(model, state)
        only = self.argument("only")
        if only:
            reasons = {role: why for role, why in reasons.items() if role in only}
        for role in reasons:
            self.add_group(f"stale_{role}", parent_group_names=["stale"])
        if state.get("services"):
            # Others rely on what runs here: plays take such hosts in batches.
            self.add_group("deployed", parent_group_names=["all"])
        venvs = missing_venvs(model, state, reasons)
        records = state.get("records", {})
        manifests = model.manifests()
        due = [name for role in reasons for name in due_records(manifests[role], records)]
        self.register_host_variables(
            {
                "cairn_stale": reasons,
                "cairn_venvs": venvs,
                "cairn_due_records": due,
                "cairn_manifests": kept.seal(manifests, reasons),
                "cairn_member": asdict(member(model, state, reasons)),
            }
        )
        return {"changed": False, "stale": reasons}

    def check_variables(self, model: Model) -> None:
        """Hold the role's variables on this host against its argument specification."""
        problems = []
        for role in model.roles():
            if not model.has_part_of(role):
                continue
            path = model.project / "roles" / role / "meta" / "argument_specs.yml"
            spec = role_file(path)["argument_specs"]["main"]["options"]
            variables = model.variables(role)
            given = {name: variables[name] for name in spec if name in variables}
            values = model.templated(role, given)
            checked = ArgumentSpecValidator(_plain(spec)).validate(values)
            problems += [f"{model.host}: role {role}: {m}" for m in checked.error_messages]
        if problems:
            raise DescriptionError("\n".join(problems))


def missing_venvs(
    model: Model, state: Mapping[str, Any], roles: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """The virtualenvs that the host lacks: name to role, lock and number of packages."""
    found = {}
    for role in roles:
        venv = (model.manifest(role) or {}).get("venv")
        if venv and venv["name"] not in state.get("venvs", []):
            cost = model.lock(venv["lock"]).count("==")
            found[venv["name"]] = {"role": role, "lock": venv["lock"], "cost": cost}
    return found


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """The options without their prose, which the validator does not know."""
    known = {"type", "elements", "required", "default", "choices", "options", "no_log"}
    plain = {}
    for name, option in options.items():
        plain[name] = {k: v for k, v in option.items() if k in known}
        if "options" in plain[name]:
            plain[name]["options"] = _plain(plain[name]["options"])
    return plain
