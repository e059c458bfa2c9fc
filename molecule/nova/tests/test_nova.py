"""Nova on controllers and compute hosts."""

from __future__ import annotations

from typing import Any

testinfra_hosts = ["ansible://controller", "ansible://compute"]
CONTROLLER = (
    *("nova-api", "nova-metadata", "nova-conductor", "nova-scheduler"),
    *("nova-novncproxy", "nova-console-files"),
)
COMPUTE = ("libvirtd", "nova-compute")
VENV = "/var/lib/cairn/services/nova/current/venv/bin"


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs(controller=CONTROLLER, compute=COMPUTE)


def test_the_apis_listen_on_one_address_only(on: Any, own_url: Any, status: Any) -> None:
    on("controller")
    assert [status(own_url(port)) for port in (8774, 8775)] == ["200", "200"]


def test_the_console_serves_the_browser_its_files(on: Any, own_url: Any, status: Any) -> None:
    on("controller")
    assert status(own_url(6081, "/vnc_lite.html")) == "200"


def test_both_cells_are_mapped_and_the_mappings_name_no_password(host: Any, on: Any) -> None:
    on("controller")
    cells = host.run(f"runuser -u nova -- {VENV}/nova-manage cell_v2 list_cells").stdout
    assert " cell0 " in cells
    assert " cell1 " in cells
    raw = host.run(
        "mariadb --batch --skip-column-names --execute "
        "'SELECT transport_url, database_connection FROM nova_api.cell_mappings'"
    ).stdout
    assert raw.count("{password}") == 3


def test_every_compute_host_is_in_a_cell(host: Any, on: Any) -> None:
    on("controller")
    wanted = set(host.backend.ansible_runner.get_hosts("compute"))
    listed = host.run(f"runuser -u nova -- {VENV}/nova-manage cell_v2 list_hosts").stdout
    known = {row.split("|")[3].strip() for row in listed.splitlines() if row.startswith("| ")}
    assert wanted <= known


def test_nova_talks_to_libvirt_through_debians_bindings(host: Any, on: Any) -> None:
    on("compute")
    code = "import libvirt; print(libvirt.open('qemu:///system').getHostname())"
    asked = host.run(f'runuser -u nova -G libvirt -- {VENV}/python -c "{code}"')
    assert asked.rc == 0, asked.stderr
    assert asked.stdout.strip()


def test_qemu_can_reach_the_disks_of_instances(host: Any, on: Any) -> None:
    on("compute")
    for folder in ("/var/lib/nova", "/var/lib/nova/instances"):
        assert host.file(folder).mode & 0o755 == 0o755


def test_libvirt_leaves_stopping_and_resuming_to_nova(host: Any, on: Any) -> None:
    on("compute")
    assert not host.service("libvirt-guests").is_running
    assert not host.service("libvirt-guests").is_enabled


def test_a_compute_host_knows_no_database(host: Any, on: Any) -> None:
    on("compute")
    assert not host.file("/etc/nova/nova.conf").contains("mysql")


def test_nova_may_become_root_for_its_helper_and_nothing_else(host: Any, on: Any) -> None:
    on("compute")
    assert host.run("runuser -u nova -- sudo --non-interactive id").rc != 0
    output = host.run("sudo --list --other-user=nova").stdout
    assert output.count("NOPASSWD") == 1
    assert "privsep-helper ^" in output
