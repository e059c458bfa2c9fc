"""Every module's documentation says what it takes, and its examples are tasks that would run.

Where an action plugin of the same name stands before the module, tasks have the plugin's arguments
and the plugin fills in the module's: both are documented.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

ROOT = Path(__file__).parents[3]
MODULES = sorted((ROOT / "plugins/modules").glob("cairn_*.py"))
KNOWN = ("type", "elements", "required", "default", "choices")
KEYWORDS = {"name", "register", "no_log", "when", "run_once", "ignore_unreachable"}
Options = dict[str, Any]


class TakenError(Exception):
    """Carries an argument specification."""

    def __init__(self, spec: Options) -> None:
        super().__init__()
        self.spec = spec


@pytest.fixture(params=MODULES, ids=lambda path: path.stem)
def module(request: pytest.FixtureRequest, script: Any) -> ModuleType:
    """Each of the modules."""
    found: ModuleType = script(str(request.param.relative_to(ROOT)))
    return found


@pytest.fixture
def spec(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Options:
    """The argument specification that the module gives to Ansible; none without AnsibleModule."""
    if not hasattr(module, "AnsibleModule"):
        return {}

    def take(argument_spec: Options, **_how: Any) -> None:
        raise TakenError(argument_spec)

    monkeypatch.setattr(module, "AnsibleModule", take)
    with pytest.raises(TakenError) as taken:
        module.main()
    return taken.value.spec


@pytest.fixture
def task(
    module: ModuleType, spec: Options, script: Any, monkeypatch: pytest.MonkeyPatch
) -> Options:
    """The specification of a task's arguments; of an action that names no types, the names."""
    path = ROOT / "plugins/action" / Path(str(module.__file__)).name
    if not path.exists():
        return spec
    action = script(str(path.relative_to(ROOT))).ActionModule
    if hasattr(action, "ARGUMENTS"):
        return {name: {"type": "raw"} for name in action.ARGUMENTS}

    def take(_self: Any, argument_spec: Options, **_how: Any) -> None:
        raise TakenError(argument_spec)

    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    monkeypatch.setattr(action, "validate_argument_spec", take)
    with pytest.raises(TakenError) as taken:
        object.__new__(action).run(None, {})
    return taken.value.spec


def plain(options: Options) -> Options:
    """Options with what documentation and specification both say, defaults filled in."""
    found = {}
    for name, option in options.items():
        said = {key: option[key] for key in KNOWN if option.get(key) is not None}
        said = {"type": "str", "required": False, **said}
        inner = option.get("suboptions", option.get("options"))
        found[name] = {**said, **({"options": plain(inner)} if inner else {})}
    return found


def test_documentation_has_what_module_and_tasks_take(
    module: ModuleType, spec: Options, task: Options
) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)
    assert documented["module"] == Path(str(module.__file__)).stem
    options = plain(documented.get("options") or {})
    assert options.keys() - spec.keys() <= task.keys(), "documented, and nobody takes it"
    for name, option in plain(spec).items():
        if name in task and "choices" in task[name] and task is not spec:
            option["choices"] = [*task[name]["choices"], *option["choices"]]
        assert {name: options.get(name)} == {name: option}
    words = set(re.findall(r"[a-z_]+", module.DOCUMENTATION))
    assert task.keys() <= words, "what tasks may say is documented"


def test_examples_are_tasks_that_would_run(module: ModuleType, task: Options) -> None:
    name = yaml.safe_load(module.DOCUMENTATION)["module"]
    examples = yaml.safe_load(module.EXAMPLES)
    assert examples
    for example in examples:
        assert set(example) - KEYWORDS == {name}
        given = example[name] or {}
        assert given.keys() <= task.keys()
        if "{{" not in str(given):
            assert ArgumentSpecValidator(task).validate(given).error_messages == []
