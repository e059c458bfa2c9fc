"""Gnocchi on the controllers."""

from __future__ import annotations

from typing import Any

import pytest

testinfra_hosts = ["ansible://controller"]

CONF = "/etc/gnocchi/gnocchi.conf"
WHERE = """
where = {"service_type": "metric", "interface": "internal"}
"""
POLICIES = f"""{WHERE}
for policy in session.get("/v1/archive_policy", endpoint_filter=where).json():
    print(policy["name"])
"""
# Without `refresh`: metricd must aggregate what the API has accepted.
MEASURE = f"""{WHERE}
import time
made = session.post("/v1/metric", json={{"archive_policy_name": "low"}}, endpoint_filter=where)
path = "/v1/metric/" + made.json()["id"]
try:
    sent = [{{"timestamp": time.time(), "value": 42}}]
    session.post(path + "/measures", json=sent, endpoint_filter=where)
    end = time.monotonic() + SECONDS
    while not (got := session.get(path + "/measures", endpoint_filter=where).json()):
        if time.monotonic() > end:
            raise SystemExit("metricd has not aggregated the measure")
        time.sleep(1)
finally:
    session.delete(path, endpoint_filter=where)
print(*sorted({{value for _, _, value in got}}))
"""


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("gnocchi-api", "gnocchi-metricd")


def test_the_api_answers_on_one_address_only_and_refuses_the_anonymous(
    own_url: Any, status: Any
) -> None:
    assert status(own_url(8041, "/healthcheck")) == "200"
    assert status(own_url(8041, "/v1/metric")) == "401"


def test_the_database_answers_through_the_load_balancer(as_service: Any) -> None:
    names = as_service("gnocchi", CONF, POLICIES).split()
    assert {"low", "medium", "high", "bool"} <= set(names)


def test_a_measure_comes_back(as_service: Any, site: Any) -> None:
    # metricd polls for new measures at this interval.
    seconds = 3 * site.setting("gnocchi_processing_delay", 60) + 30
    said = as_service("gnocchi", CONF, f"SECONDS = {seconds}{MEASURE}")
    assert said.split() == ["42.0"]


def test_metricd_has_its_workers(host: Any) -> None:
    (pid,) = host.check_output("systemctl show --property=MainPID --value gnocchi-metricd").split()
    children = host.check_output("ps --no-headers -o args --ppid %s", pid)
    for worker in ("processing worker", "reporting worker", "janitor worker"):
        assert worker in children


def test_measures_in_files_belong_to_gnocchi_alone(host: Any, site: Any) -> None:
    path = host.file("/etc/gnocchi/gnocchi.conf").content_string
    if "driver = file" not in path:
        pytest.skip("measures are not in files here")
    folder = host.file(site.setting("gnocchi_folder", "/var/lib/gnocchi/storage"))
    assert (folder.user, folder.group, folder.mode) == ("gnocchi", "gnocchi", 0o750)


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/gnocchi/gnocchi.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "gnocchi", 0o640)
