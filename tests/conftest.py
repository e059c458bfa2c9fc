"""What tests of several folders share."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import ansible.module_utils
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Modules import ours as `ansible.module_utils.cairn`, as they do in the archive sent to a host.
ansible.module_utils.__path__.append(str(ROOT / "plugins/module_utils"))


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the directory of the whole project."""
    return ROOT


@pytest.fixture
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
