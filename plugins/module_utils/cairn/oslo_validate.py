"""Hold INI files against a service's code: `oslo-config-validator` for all files in one process.

Run by the Python of a staged virtualenv, with this file's text as its program; importing the code
is what costs, and it is paid once. Input: JSON of path to namespaces on standard input. Output:
JSON of path to what is wrong with the file (an empty text when nothing is). The rule is
oslo.config's own, with warnings as errors: no unknown and no deprecated option.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys


def refused(path: str, namespaces: list[str]) -> str:
    """What `oslo-config-validator --fatal-warnings` says against a file; empty when nothing."""
    from oslo_config import validator

    words = [f"--namespace={namespace}" for namespace in namespaces]
    sys.argv = ["oslo-config-validator", f"--input-file={path}", "--fatal-warnings", *words]
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
        answers = {path: refused(path, names) for path, names in json.load(sys.stdin).items()}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
