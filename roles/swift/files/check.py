"""Validate swift's configuration with its own code: check.py FOLDER; prints what is wrong.

Runs with the staged virtualenv's Python. Policies must be complete, and every pipeline must consist
of existing filters. Starts nothing and needs neither rings nor disks.
"""

from __future__ import annotations

import configparser
import sys
from pathlib import Path

from paste.deploy import loadwsgi
from swift.common.storage_policy import PolicyError, parse_storage_policies


def pipeline_problem(path: Path) -> str:
    """Return what is wrong with the pipeline of a file; empty if nothing is."""
    try:
        loadwsgi.loadcontext(loadwsgi.APP, f"config:{path}", global_conf={"log_level": "ERROR"})
    except Exception as error:  # paste passes on any exception
        return f"{path.name}: {type(error).__name__}: {error}"
    return ""


def policy_problem(path: Path) -> str:
    """Return what is wrong with the storage policies of swift.conf; empty if nothing is."""
    conf = configparser.ConfigParser()
    conf.read(path)
    try:
        parse_storage_policies(conf)
    except (PolicyError, ValueError) as error:
        return f"{path.name}: {error}"
    return ""


def main() -> int:
    """Check all files in the folder; return 1 if anything is wrong."""
    folder = Path(sys.argv[1])
    problems = [policy_problem(folder / "swift.conf")]
    for path in sorted(folder.glob("*.conf")):
        if "[pipeline:main]" in path.read_text():
            problems.append(pipeline_problem(path))
    print("\n".join(filter(None, problems)), file=sys.stderr)
    return int(any(problems))


if __name__ == "__main__":
    sys.exit(main())
