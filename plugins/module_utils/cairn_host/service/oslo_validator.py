"""Validate INI files with a service's code: `oslo-config-validator` for all files in one process.

The Python of a staged virtualenv runs this file's text as a program, so that the code is imported
once. Input: JSON of path to {namespaces, like} on standard input. Output: JSON of path to
complaints, empty if the file is valid. As oslo-config-validator with warnings as errors it refuses
unknown and deprecated options. `like` maps a section to others whose options it accepts as well,
for sections that the code does not know, such as cinder's back ends, named by the operator.

Importing all code with options takes a small host 15 seconds. The options are cached in the
virtualenv, which never changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any


def described(namespaces: list[str]) -> dict[str, Any]:
    """All options of the namespaces, in the form that oslo.config's validator reads."""
    from oslo_config import cfg, generator

    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    groups = generator._get_groups(generator._list_opts(namespaces))
    data: dict[str, Any] = generator._generate_machine_readable_data(groups, conf)
    return data


def remembered(namespaces: list[str], folder: Path) -> dict[str, Any]:
    """The result of `described`, cached in a file of the folder."""
    names = "\n".join(sorted(namespaces))
    path = folder / f"{hashlib.sha256(names.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, ValueError):
        cached: dict[str, Any] = json.loads(path.read_text())
        return cached
    # Through JSON, so that the first result equals the cached ones.
    text = json.dumps(described(namespaces), default=str)
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(text)
        draft.replace(path)
    data: dict[str, Any] = json.loads(text)
    return data


def known(namespaces: list[str], like: dict[str, list[str]]) -> dict[str, Any]:
    """All options of the namespaces; sections that are `like` others have these options, too."""
    data = remembered(namespaces, Path(sys.prefix) / "cairn-options")
    options, deprecated = data["options"], data["deprecated_options"]
    for section, others in like.items():
        names = {section, *others}
        more = {"opts": [opt for name in names for opt in options.get(name, {}).get("opts", [])]}
        options[section] = options.get(section, {}) | more
        deprecated[section] = [opt for name in names for opt in deprecated.get(name, [])]
    return data


def refused(path: str, namespaces: list[str], like: dict[str, list[str]]) -> str:
    """The complaints of `oslo-config-validator --fatal-warnings` about a file; empty if valid."""
    from oslo_config import cfg, validator

    def load(conf: cfg.ConfigOpts) -> dict[str, Any]:
        return known(namespaces, like)

    validator.load_opt_data = load
    words = [f"--input-file={path}", "--opt-data=known", "--fatal-warnings"]
    sys.argv = ["oslo-config-validator", *words]
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        return output.getvalue() or "refused" if validator.main() else ""
    finally:
        logging.getLogger().removeHandler(handler)


def main() -> None:
    """Validate every file."""
    with contextlib.redirect_stdout(io.StringIO()):
        answers = {path: refused(path, **file) for path, file in json.load(sys.stdin).items()}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
