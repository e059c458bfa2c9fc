"""Runs in a service's virtualenv: hold INI files against the code, all in one process.

Input: JSON of path to {namespaces, like}. Output: JSON of path to {refused: text or empty, leaving:
options that the code marks as deprecated for removal, as [section, option]}.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3] / "plugins" / "module_utils"))
from cairn_host.service.oslo_validator import known, refused


def leaving(namespaces: list[str], like: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Section and name of every option that is deprecated for removal."""
    return sorted(
        {
            (section, name)
            for section, group in known(namespaces, like)["options"].items()
            for option in group["opts"]
            if option.get("deprecated_for_removal")
            for name in (option["name"], option.get("dest") or option["name"])
        }
    )


def main() -> None:
    """Answer for every file."""
    with contextlib.redirect_stdout(io.StringIO()):
        answers = {
            path: {"refused": refused(path, **described), "leaving": leaving(**described)}
            for path, described in json.load(sys.stdin).items()
        }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
