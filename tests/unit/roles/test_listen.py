"""listen.py reads what ceilometer publishes. Held against ceilometer's own virtualenv."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = "roles/ceilometer/files/listen.py"

# Runs in the virtualenv: a meter and an event as ceilometer's publisher hands them to
# oslo.messaging, and as listen.py takes them from the queue.
TRIP = """
import importlib.util, json, sys
from datetime import datetime
from ceilometer import sample
from ceilometer.event import models
from ceilometer.publisher import utils
from oslo_config import cfg
spec = importlib.util.spec_from_file_location("listen", sys.argv[1])
listen = importlib.util.module_from_spec(spec)
spec.loader.exec_module(listen)
made = sample.Sample("cpu", "cumulative", "ns", 5, "u", "p", "instance-1", timestamp="2026-11-23",
                     resource_metadata={})
meter = utils.meter_message_from_counter(made, "secret")
trait = models.Trait("resource_id", models.Trait.TEXT_TYPE, "instance-1")
event = utils.message_from_event(
    models.Event("e", "compute.instance.create.end", datetime(2026, 11, 23), [trait], {}), "secret")
found = []
for payload in ([meter], [event]):
    inner = json.dumps({"payload": payload, "publisher_id": "telemetry"})
    body = {"oslo.version": "2.0", "oslo.message": inner}
    (one,) = listen.published(body)
    found.append([one.get("message_signature", ""), listen.belongs(one, "instance-1"),
                  listen.belongs(one, "instance-2"), listen.belongs(one, None)])
# The same broker that ceilometer itself uses.
conf = cfg.ConfigOpts()
conf(["--config-file", sys.argv[2]], project="ceilometer")
with listen.connection(conf) as broker:
    found.append([broker.virtual_host, broker.hostname, broker.port, broker.userid, broker.ssl])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(
    root: Path, tmp_path_factory: pytest.TempPathFactory, content: Any, venv_of: Any
) -> list[list[Any]]:
    """What the program makes of a meter and an event, and its connection."""
    python = venv_of("ceilometer") / "bin/python"
    conf = tmp_path_factory.mktemp("listen") / "ceilometer.conf"
    conf.write_text(content("ceilometer", "ceilometer.conf", services=("ceilometer",)))
    done = subprocess.run(
        [str(python), "-c", TRIP, str(root / SCRIPT), str(conf)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", ["meter", "event"])
def test_what_is_published_is_read_and_distinguished_by_resource(found: Any, kind: str) -> None:
    signature, this, another, any_of_them = found[0 if kind == "meter" else 1]
    assert len(signature) == 64
    assert (this, another, any_of_them) == (True, False, True)


def test_the_brokers_are_those_of_ceilometers_configuration(found: Any) -> None:
    vhost, host, port, user, tls = found[2]
    assert (vhost, host, port, user) == ("/ceilometer", "192.0.2.1", 5671, "ceilometer")
    assert tls["ca_certs"] == "/etc/ssl/certs/cairn-ca.pem"
