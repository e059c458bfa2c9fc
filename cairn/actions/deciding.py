"""What a run has to do on a host, beside its stale services: check variables, make virtualenvs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..errors import DescriptionError
from ..service.model import Model
from .base import role_file


def check_variables(model: Model) -> None:
    """Check the roles' variables on a host against their argument specs; DescriptionError."""
    problems = []
    for role in model.roles():
        if not model.has_part_of(role):
            continue
        path = model.project / "roles" / role / "meta" / "argument_specs.yml"
        spec = role_file(path)["argument_specs"]["main"]["options"]
        variables = model.variables(role)
        given = {name: variables[name] for name in spec if name in variables}
        checked = ArgumentSpecValidator(_plain(spec)).validate(model.templated(role, given))
        problems += [f"{model.host}: role {role}: {m}" for m in checked.error_messages]
    if problems:
        raise DescriptionError("\n".join(problems))


def missing_venvs(
    model: Model, state: Mapping[str, Any], roles: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """The virtualenvs that a host lacks: name to role, lock and number of packages."""
    missing = {}
    for role in roles:
        venv = (model.manifest(role) or {}).get("venv")
        if venv and venv["name"] not in state.get("venvs", []):
            cost = model.lock(venv["lock"]).count("==")
            missing[venv["name"]] = {"role": role, "lock": venv["lock"], "cost": cost}
    return missing


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """The options without their documentation, which the validator refuses."""
    accepted = {"type", "elements", "required", "default", "choices", "options", "no_log"}
    plain = {}
    for name, option in options.items():
        plain[name] = {key: value for key, value in option.items() if key in accepted}
        if "options" in plain[name]:
            plain[name]["options"] = _plain(plain[name]["options"])
    return plain
