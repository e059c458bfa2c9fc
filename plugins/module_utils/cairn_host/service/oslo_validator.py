"""Hold INI files against a service's code: `oslo-config-validator` for all files in one process.

Run by the Python of a staged virtualenv, with this file's text as its program; importing the code
is what costs, and it is paid once. Input: JSON of path to {namespaces, like} on standard input.
Output: JSON of path to what is wrong with the file (an empty text when nothing is). The rule is
oslo.config's own, with warnings as errors: no unknown and no deprecated option. `like` is for
sections of which the code does not tell all that may stand in them, such as one of cinder's back
ends, whose name is the operator's: section to sections whose options it has too.

Importing all the code that has options takes a small host a quarter of a minute. What it told is
kept in the virtualenv, which never changes once it is made.
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
    """All options of the namespaces, as oslo.config's generator describes them to its validator."""
    from oslo_config import cfg, generator

    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    groups = generator._get_groups(generator._list_opts(namespaces))
    data: dict[str, Any] = generator._generate_machine_readable_data(groups, conf)
    return data


def remembered(namespaces: list[str], folder: Path) -> dict[str, Any]:
    """What `described` tells, from a file of the folder once it has told it."""
    names = "\n".join(sorted(namespaces))
    path = folder / f"{hashlib.sha256(names.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    # Through JSON here too, so that the first answer is made of the same as all others.
    text = json.dumps(described(namespaces), default=str)
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(text)
        draft.replace(path)
    data: dict[str, Any] = json.loads(text)
    return data


def known(namespaces: list[str], like: dict[str, list[str]]) -> dict[str, Any]:
    """All options of the namespaces, those of sections that are `like` others among them."""
    data = remembered(namespaces, Path(sys.prefix) / "cairn-options")
    options, deprecated = data["options"], data["deprecated_options"]
    for section, others in like.items():
        names = {section, *others}
        more = {"opts": [opt for name in names for opt in options.get(name, {}).get("opts", [])]}
        options[section] = options.get(section, {}) | more
        deprecated[section] = [opt for name in names for opt in deprecated.get(name, [])]
    return data


def refused(path: str, namespaces: list[str], like: dict[str, list[str]]) -> str:
    """What `oslo-config-validator --fatal-warnings` says against a file; empty when nothing."""
    from oslo_config import cfg, validator

    def load(conf: cfg.ConfigOpts) -> dict[str, Any]:
        return known(namespaces, like)

    validator.load_opt_data = load
    words = [f"--input-file={path}", "--opt-data=known", "--fatal-warnings"]
    sys.argv = ["oslo-config-validator", *words]
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        return said.getvalue() or "refused" if validator.main() else ""
    finally:
        logging.getLogger().removeHandler(handler)


def main() -> None:
    """Answer for every file."""
    with contextlib.redirect_stdout(io.StringIO()):
        answers = {path: refused(path, **told) for path, told in json.load(sys.stdin).items()}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
