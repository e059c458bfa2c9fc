"""Map nova's two cells and the compute hosts; can be repeated.

Usage: cells.py NOVA_CONF map | cells.py NOVA_CONF discover HOST... | cells.py NOVA_CONF nodes

`nodes` changes nothing: it prints the UUID of each compute host as one line of JSON.

The mappings contain templates that nova fills from nova.conf, so they hold no password and stay
valid when a password or an address changes. `{password}` includes the commas of a URL with several
brokers; the second slash belongs to the name of the virtual host.
"""

import json
import sys
import time

from nova import config, context, exception, objects
from nova.objects import host_mapping

DATABASE = "{scheme}://{username}:{password}@{hostname}/%s?{query}"
CELL0 = {
    "name": "cell0",
    "transport_url": "none:///",
    "database_connection": DATABASE % "nova_cell0",
}
CELL1 = {
    "name": "cell1",
    "transport_url": "{scheme}://{username}:{password}@{hostname}:{port}//{path}",
    "database_connection": DATABASE % "nova",
}
CELL1_UUID = "c4a1c4a1-0000-4000-8000-000000000001"
WAIT = 180  # seconds for a started compute service to register


def map_cells(admin):
    """Create the missing mappings."""
    for uuid, wanted in ((objects.CellMapping.CELL0_UUID, CELL0), (CELL1_UUID, CELL1)):
        try:
            objects.CellMapping.get_by_uuid(admin, uuid)
        except exception.CellMappingNotFound:
            objects.CellMapping(admin, uuid=uuid, **wanted).create()
            print("mapped", wanted["name"])


def discover(admin, wanted):
    """Map compute hosts until all wanted ones are mapped; return the names of those missing."""
    end = time.monotonic() + WAIT
    while True:
        for mapping in host_mapping.discover_hosts(admin):
            print("mapped", mapping.host)
        known = {mapping.host for mapping in objects.HostMappingList.get_all(admin)}
        missing = sorted(set(wanted) - known)
        if not missing or time.monotonic() > end:
            return missing
        time.sleep(3)


def nodes(admin):
    """Return the UUID of each compute host's node, in all cells."""
    known = {}
    for cell in objects.CellMappingList.get_all(admin):
        if not cell.is_cell0():
            with context.target_cell(admin, cell) as within:
                for node in objects.ComputeNodeList.get_all(within):
                    known[node.host] = node.uuid
    return known


def main(arguments):
    """Map, discover or list; return None, or a message about what is missing."""
    file, verb, *hosts = arguments
    config.parse_args(["cells", "--config-file", file])
    objects.register_all()
    admin = context.get_admin_context()
    if verb == "map":
        map_cells(admin)
        return None
    if verb == "nodes":
        print(json.dumps(nodes(admin)))
        return None
    missing = discover(admin, hosts)
    return f"no compute service has registered on: {', '.join(missing)}" if missing else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
