"""What a run has to do on a host, beside its stale services: check variables, make virtualenvs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..errors import DescriptionError
from ..service import registry
from ..service.model import Model
from .base import role_file


def check_variables(model: Model) -> None:
    """Check the roles' variables on a host against their argument specs; DescriptionError."""
    specs = {role: options(model, role) for role in filter(model.has_part_of, model.roles())}
    # First: other variables are rendered from these.
    problems = [
        f"{model.host}: role {role}: {name} is empty; remove it for the default"
        for role, spec in specs.items()
        for name in empty(model, role, spec)
    ]
    for role, spec in specs.items() if not problems else ():
        variables = model.variables(role)
        given = {name: variables[name] for name in spec if name in variables}
        values = model.templated(role, given)
        # Ansible's validator would split a text, and the role would get its letters.
        problems += [
            f"{model.host}: role {role}: {name} is a text; it must be a {spec[name]['type']}"
            for name, value in values.items()
            if isinstance(value, str) and spec[name].get("type") in ("list", "dict")
        ]
        checked = ArgumentSpecValidator(_plain(spec)).validate(values)
        problems += [f"{model.host}: role {role}: {m}" for m in checked.error_messages]
    if problems:
        raise DescriptionError("\n".join(problems))


def options(model: Model, role: str) -> dict[str, Any]:
    """The variables of a role, as its argument specs describe them."""
    path = model.project / "roles" / role / "meta" / "argument_specs.yml"
    found: dict[str, Any] = role_file(path)["argument_specs"]["main"]["options"]
    return found


def empty(model: Model, role: str, spec: Mapping[str, Any]) -> list[str]:
    """The variables of a role that are null (`nova_workers:`) although they have a default.

    Overrides may be: their layers are merged, and null adds nothing.
    """
    names = [name for name in spec if name in model.given and model.given[name] is None]
    path = model.project / "roles" / role / "defaults" / "main.yml"
    defaults = (role_file(path) or {}) if names and path.exists() else {}
    merged = registry.merged() if names else {}
    return [name for name in names if name not in merged and defaults.get(name) is not None]


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
