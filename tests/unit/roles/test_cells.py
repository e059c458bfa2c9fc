"""The script that maps nova's cells, run with nova's own code on a database in a file."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CONF = """[DEFAULT]
transport_url = rabbit://nova:pw@192.0.2.1:5671,nova:pw@192.0.2.2:5671//nova
[api_database]
connection = sqlite:///{folder}/api.db
[database]
connection = {database}
"""
MYSQL = "mysql+pymysql://nova:pw@cloud.example/nova?charset=utf8mb4&ssl_ca=/ca.pem"
FORMAT = """
import sqlite3, sys
from nova import config
from nova.objects.cell_mapping import CellMapping
config.parse_args(["x", "--config-file", sys.argv[1]])
for queue, database in sqlite3.connect(sys.argv[2]).execute(
    "SELECT transport_url, database_connection FROM cell_mappings ORDER BY name"
):
    print(CellMapping.format_mq_url(queue), CellMapping.format_db_url(database))
"""


@pytest.fixture(scope="module")
def python(venv_of: Callable[[str], Path]) -> Path:
    return venv_of("nova") / "bin/python"


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def schema(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An API database without rows; making one takes long."""
    folder = tmp_path_factory.mktemp("schema")
    conf = folder / "nova.conf"
    conf.write_text(CONF.format(folder=folder, database=MYSQL))
    run(python.with_name("nova-manage"), "--config-file", conf, "api_db", "sync")
    return folder / "api.db"


@pytest.fixture(scope="module")
def mapped(python: Path, root: Path, schema: Path) -> tuple[str, Path]:
    """What mapping the cells prints, and the API database with the cells."""
    cells = (python, root / "roles/nova/files/cells.py", schema.with_name("nova.conf"), "map")
    return run(*cells), schema


def test_cells_are_mapped_once_and_nova_reads_its_own_addresses_out_of_them(
    python: Path, root: Path, tmp_path: Path, mapped: tuple[str, Path]
) -> None:
    printed, made = mapped
    assert printed.split() == ["mapped", "cell0", "mapped", "cell1"]
    conf, database = tmp_path / "nova.conf", shutil.copy(made, tmp_path)
    conf.write_text(CONF.format(folder=tmp_path, database=MYSQL))
    cells = (python, root / "roles" / "nova" / "files" / "cells.py", conf, "map")
    assert run(*cells) == ""
    with sqlite3.connect(database) as known:
        stored = str(
            known.execute("SELECT transport_url, database_connection FROM cell_mappings").fetchall()
        )
    assert ":pw@" not in stored
    query = "charset=utf8mb4&ssl_ca=/ca.pem"
    assert run(python, "-c", FORMAT, conf, database).splitlines() == [
        f"none:/// mysql+pymysql://nova:pw@cloud.example/nova_cell0?{query}",
        "rabbit://nova:pw@192.0.2.1:5671,nova:pw@192.0.2.2:5671//nova "
        f"mysql+pymysql://nova:pw@cloud.example/nova?{query}",
    ]


def test_compute_hosts_are_known_by_their_uuids(
    python: Path, root: Path, tmp_path: Path, mapped: tuple[str, Path]
) -> None:
    shutil.copy(mapped[1], tmp_path)
    conf, main = tmp_path / "nova.conf", f"sqlite:///{tmp_path}/main.db"
    conf.write_text(CONF.format(folder=tmp_path, database=main))
    run(python.with_name("nova-manage"), "--config-file", conf, "db", "sync", "--local_cell")
    cells = (python, root / "roles" / "nova" / "files" / "cells.py", conf)
    with sqlite3.connect(tmp_path / "api.db") as known:
        known.execute("UPDATE cell_mappings SET database_connection = ?", (main,))
    assert json.loads(run(*cells, "nodes")) == {}
    numbers = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used")
    row = {
        **{"host": "compute1", "uuid": "c0ffee00-0000-4000-8000-000000000001", "deleted": 0},
        **{"hypervisor_type": "QEMU", "hypervisor_version": 1, "cpu_info": ""},
        **dict.fromkeys(numbers, 1),
    }
    with sqlite3.connect(tmp_path / "main.db") as nodes:
        nodes.execute(
            f"INSERT INTO compute_nodes ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608
            tuple(row.values()),
        )
    assert json.loads(run(*cells, "nodes")) == {"compute1": row["uuid"]}
