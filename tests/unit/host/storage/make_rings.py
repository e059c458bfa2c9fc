"""Rings made with swift's code, run by its virtualenv's Python: a line of JSON in, one out."""

from __future__ import annotations

import json
import sys
from typing import Any

from cairn_host import errors, wire
from cairn_host.storage import ring_files, rings


def aged(cls: Any, content: bytes, hours: float) -> bytes:
    """A builder file as it will be that many hours later."""
    builder = ring_files.load(cls, content)
    if builder._last_part_moves_epoch:
        builder._last_part_moves_epoch -= int(hours * 3600)
    return ring_files.save(builder)[0]


def answer(cls: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """The rings that were asked for, or why they are refused."""
    contents = {
        name: aged(cls, wire.decode(text), asked["hours"])
        for name, text in asked["contents"].items()
    }
    try:
        made = ring_files.make(None, asked["wanted"], contents, **asked["circumstances"])
    except errors.HostError as error:
        return {"refused": str(error)}
    return {name: as_json(ring_files.load(cls, ring.builder), ring) for name, ring in made.items()}


def as_json(builder: Any, ring: ring_files.Made) -> dict[str, Any]:
    """A ring as JSON, with its partitions by device and its devices by partition."""
    return {
        "lines": ring.lines,
        "changed": ring.changed,
        "due": ring.due,
        "version": ring.version,
        "builder": wire.encode(ring.builder),
        "ring": wire.encode(ring.ring),
        "parts": {
            ring_files.device_of(dev).name: dev["parts"] for dev in ring_files.devices(builder)
        },
        "rows": [
            [ring_files.device_of(builder.devs[ident]).name for ident in row]
            for row in rings.rows(ring_files.assignments(builder))
        ],
    }


def main() -> None:
    """Answer each line."""
    cls = ring_files.builder_class(None)
    for line in sys.stdin:
        print(json.dumps(answer(cls, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
