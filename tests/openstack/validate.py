"""Runs in a service's virtualenv: hold INI files against the code, all in one process.

Input: JSON of path to namespaces. Output: JSON of path to {refused: text or empty, leaving: options
that the code marks as deprecated for removal, as [section, option]}.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

from oslo_config import cfg, generator

sys.path.append(str(Path(__file__).resolve().parents[2] / "plugins" / "module_utils"))
from cairn.oslo_validate import refused


def leaving(namespaces: list[str]) -> list[tuple[str, str]]:
    """Section and name of every option that is deprecated for removal."""
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    groups = generator._get_groups(generator._list_opts(namespaces))
    data = generator._generate_machine_readable_data(groups, conf)
    return sorted(
        {
            (section, name)
            for section, group in data["options"].items()
            for option in group["opts"]
            if option.get("deprecated_for_removal")
            for name in (option["name"], option.get("dest") or option["name"])
        }
    )


def main() -> None:
    """Answer for every file."""
    with contextlib.redirect_stdout(io.StringIO()):
        answers = {
            path: {"refused": refused(path, namespaces), "leaving": leaving(namespaces)}
            for path, namespaces in json.load(sys.stdin).items()
        }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
