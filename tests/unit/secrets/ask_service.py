"""Read values back with a service's own code: JSON of [what, text] in, JSON of the values out.

Run by the Python of a service's virtualenv. `what` names the reader, `text` is the file's content
or the URL; what a reader refuses comes back as {"error": …}.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any


def glance_store(path: Path) -> Any:
    """Return the key of the account that glance's store finds (SwiftParams)."""
    from glance_store._drivers.swift import utils

    parser = utils.SwiftConfigParser()
    parser.read(path)
    return parser.get("s", "key")


def swift_paste(path: Path) -> Any:
    """Return the option as paste.deploy hands it to a filter of Swift's."""
    import swift.common.wsgi  # noqa: F401 - gives paste.deploy an interpolation of its own
    from paste.deploy import loadwsgi

    return loadwsgi.loadcontext(loadwsgi.FILTER, f"config:{path}", "s").local_conf["key"]


def swift_readconf(path: Path) -> Any:
    """Return the option as Swift's daemons read it."""
    from swift.common.utils import readconf

    return readconf(str(path), "filter:s")["key"]


def swift_hash(path: Path) -> Any:
    """Return the prefix with which Swift makes sums of names."""
    from swift.common import utils

    utils.SWIFT_CONF_FILE = str(path)
    utils.HASH_PATH_PREFIX = utils.HASH_PATH_SUFFIX = b""
    utils.validate_hash_conf()
    return utils.HASH_PATH_PREFIX.decode()


def sqlalchemy(path: Path) -> Any:
    """Return the password of a URL after alembic's configuration, as migrations hand it over."""
    from alembic.config import Config
    from sqlalchemy.engine import make_url

    config = Config()
    config.set_main_option("sqlalchemy.url", path.read_text().replace("%", "%%"))
    return make_url(str(config.get_main_option("sqlalchemy.url"))).password


def migrations(path: Path) -> Any:
    """Return whether a service's migrations take a URL; the text is `service URL`."""
    service, url = path.read_text().split(" ", 1)
    seen: list[Any] = []
    if service == "keystone":
        importlib.import_module("keystone.common.sql").initialize()
        conf = importlib.import_module("keystone.conf").CONF
        conf.set_override("connection", url, "database")
        upgrades = importlib.import_module("keystone.common.sql.upgrades")
        seen.append(upgrades._find_alembic_conf())
    else:
        from sqlalchemy import create_engine

        def engine(*_: Any, **__: Any) -> Any:
            return create_engine(url)  # connects when it is used

        if service == "glance":
            alembic = importlib.import_module("glance.db.sqlalchemy.alembic_migrations")
            seen.append(alembic.get_alembic_config(engine()))
        else:
            migration: Any = importlib.import_module(f"{service}.db.migration")
            api, name = (
                (migration, "_get_engine")
                if hasattr(migration, "_get_engine")
                else (migration.db_api, "get_engine")
            )
            setattr(api, name, engine)
            migration._upgrade_alembic = lambda _engine, config, *_: seen.append(config)
            migration.db_sync()
    return str(seen[0].get_main_option("sqlalchemy.url")).startswith("mysql+pymysql://u:")


def messaging(path: Path) -> Any:
    """Return the passwords of all hosts of a transport URL."""
    from oslo_config import cfg
    from oslo_messaging import TransportURL

    url = TransportURL.parse(cfg.ConfigOpts(), path.read_text())
    return [host.password for host in url.hosts]


READERS = {
    "glance_store": glance_store,
    "swift_paste": swift_paste,
    "swift_readconf": swift_readconf,
    "swift_hash": swift_hash,
    "sqlalchemy": sqlalchemy,
    "migrations": migrations,
    "messaging": messaging,
}


def main() -> None:
    """Answer for every text."""
    answers: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for what, text in json.load(sys.stdin):
            path.write_text(text)
            try:
                answers.append(READERS[what](path))
            except Exception as error:
                answers.append({"error": repr(error)})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
