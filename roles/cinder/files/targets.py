"""Restore the iSCSI targets that existed before this host went down: targets.py VOLUME_GROUP.

Cinder's record of them is saveconfig.json. A target that already serves its volume is not touched:
an instance may be using it.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from rtslib_fb import RTSRoot

RECORD = Path("/etc/target/saveconfig.json")
WAIT = 120  # seconds to wait for disks that appear late
PAUSE = 5


def restore(record):
    """Create the targets that are missing or empty; return what failed, as sentences."""
    root = RTSRoot()
    whole = {target.wwn for target in root.targets if any(tpg.luns for tpg in target.tpgs)}
    problems = []
    for name in (target["wwn"] for target in record["targets"]):
        if name not in whole:
            # Cinder gives a target and the one volume behind it the same name.
            problems += root.restore(record, target=name, storage_object=name, clear_existing=True)
    return problems


def main(group):
    """Restore until nothing is missing; return None, or the text of what still is."""
    if not RECORD.exists():
        return None
    record = json.loads(RECORD.read_text())
    end = time.monotonic() + WAIT
    while True:
        subprocess.run(["vgchange", "--activate", "y", group], check=False)
        problems = restore(record)
        if not problems or time.monotonic() > end:
            return "\n".join(problems) or None
        time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
