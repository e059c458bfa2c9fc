"""Rings made with swift's code, run by its virtualenv's Python: a line of JSON in, one out."""

from __future__ import annotations

import json
import sys
from typing import Any

from cairn_host import hostwork, rings, ringwork, wire


def aged(cls: Any, content: bytes, hours: float) -> bytes:
    """A builder file as it will be that many hours later."""
    builder = ringwork.load(cls, content)
    if builder._last_part_moves_epoch:
        builder._last_part_moves_epoch -= int(hours * 3600)
    return ringwork.save(builder)[0]


def answer(cls: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """The rings that were asked for, or why they are refused."""
    contents = {
        name: aged(cls, wire.decode(text), asked["hours"])
        for name, text in asked["contents"].items()
    }
    try:
        made = ringwork.make(None, asked["wanted"], contents, **asked["circumstances"])
    except hostwork.HostError as error:
        return {"refused": str(error)}
    return {name: told(ringwork.load(cls, ring.builder), ring) for name, ring in made.items()}


def told(builder: Any, ring: ringwork.Made) -> dict[str, Any]:
    """A ring as JSON, with its partitions by device and its devices by partition."""
    return {
        "lines": ring.lines,
        "changed": ring.changed,
        "due": ring.due,
        "version": ring.version,
        "builder": wire.encode(ring.builder),
        "ring": wire.encode(ring.ring),
        "parts": {ringwork.device_of(dev).name: dev["parts"] for dev in ringwork.devices(builder)},
        "rows": [
            [ringwork.device_of(builder.devs[ident]).name for ident in row]
            for row in rings.rows(ringwork.assignments(builder))
        ],
    }


def main() -> None:
    """Answer each line."""
    cls = ringwork.builder_class(None)
    for line in sys.stdin:
        print(json.dumps(answer(cls, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
