"""What keystonemiddleware makes of the options that a service validates tokens with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

# Asks a server that takes a request and never answers, as a controller does that has lost power.
SCRIPT = """
import json, socket, sys
from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from oslo_config import cfg
conf = cfg.ConfigOpts()
conf(["--config-file", sys.argv[1]], project="probe", default_config_files=[])
made = auth_token.AuthProtocol(None, {"oslo_config_config": conf})
silent = socket.create_server(("127.0.0.1", 0))
try:
    made._session.get(f"http://127.0.0.1:{silent.getsockname()[1]}", authenticated=False)
except exceptions.ConnectTimeout:
    print(json.dumps(made._session.timeout))
"""


def ask(python: Path, folder: Path, seconds: float) -> float:
    """Return the seconds after which the middleware gave up a keystone that stays silent."""
    file = folder / "probe.conf"
    file.write_text(f"[keystone_authtoken]\nhttp_connect_timeout = {seconds}\n")
    done = subprocess.run(
        [python, "-c", SCRIPT, str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(json.loads(done.stdout))


def test_the_timeout_counts_for_an_answer_that_never_comes(
    venv_of: Callable[[str], Path], tmp_path: Path
) -> None:
    assert ask(venv_of("glance") / "bin/python", tmp_path, 1) == 1
