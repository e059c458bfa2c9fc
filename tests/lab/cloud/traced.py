#!/usr/bin/env python3
"""Trace every command on the hosts of a lab during something else, for secrets in its arguments.

    python tests/lab/cloud/traced.py start     # on hosts that run; they may be bare
    make site verify                           # whatever is to be watched
    python tests/lab/cloud/traced.py stop      # found, by name; exit code 1 if anything was

The lab is CAIRN_LAB, or `lab`. A host that was restarted meanwhile has lost its trace.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("trace.py")
PUBLIC = {"ca_certificate"}
UNIT = "cairn-trace"
PLACE = f"/run/{UNIT}"
CONTROL = "control"
# docs/explanation/secrets.md says who sees these.
DOCUMENTED = ("CHAP password: ",)
START = f"""
set -eu
umask 077
cat > {PLACE}.in
rm -f {PLACE}.json
systemd-run --quiet --collect --unit={UNIT} --property=Type=exec \\
    --property=StandardInput=file:{PLACE}.in /usr/bin/python3 {PLACE}.py {PLACE}.json
for _ in $(seq 100); do [ -e {PLACE}.json ] && break; sleep 0.2; done
rm {PLACE}.in
[ -e {PLACE}.json ] || {{ journalctl --unit={UNIT} --lines=20 >&2; exit 1; }}
"""
# Only the short-lived command itself has the word among its arguments.
STOP = f"""
set -eu
/bin/true "$(cat {PLACE}.word)"
sleep 1
systemctl stop {UNIT}
cat {PLACE}.json
rm -f {PLACE}.json {PLACE}.py {PLACE}.word
"""


class Values(dict[str, str]):
    """Secrets by name, which pytest does not show when a test fails."""

    def __repr__(self) -> str:
        """Names only."""
        return f"<secrets {', '.join(self)}>"


class Hidden(str):
    """Text that pytest does not show either, as an argument of what failed."""

    def __repr__(self) -> str:
        """Nothing of it."""
        return "<hidden>"


def lab() -> str:
    """The lab's name, and that of its inventory."""
    return os.environ.get("CAIRN_LAB") or "lab"


def values(root: Path = ROOT) -> Values:
    """The secrets of the lab, by name."""
    inventory = root / "inventories" / lab()
    tool = [str(root / "tools/vault-password"), "-i", str(inventory)]
    password = subprocess.run(tool, capture_output=True, check=True).stdout.strip()
    vault = VaultLib([("default", VaultSecret(password))])
    text = vault.decrypt((inventory / "group_vars/all/secrets.yml").read_bytes())
    found = yaml.safe_load(text)["cairn_secrets"]
    return Values({name: value for name, value in found.items() if name not in PUBLIC})


def hosts() -> list[str]:
    """Names of the lab's managed hosts."""
    tool = [str(Path(sys.executable).with_name("ansible-inventory"))]
    command = [*tool, "-i", f"inventories/{lab()}", "--list"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    listed = json.loads(done.stdout)
    groups = ("controller", "network", "compute", "storage")
    return list(dict.fromkeys(h for g in groups for h in listed.get(g, {}).get("hosts", [])))


def on(host: str, command: str, text: str = "") -> str:
    """What a shell command says on a host, as root; `text` is what it reads, and shown nowhere."""
    with tempfile.TemporaryFile("w+") as asked:
        asked.write(text)
        asked.seek(0)
        argv = [sys.executable, "-m", "lab", "ssh", host, command]
        done = subprocess.run(
            argv, cwd=ROOT, stdin=asked, capture_output=True, text=True, check=False, timeout=300
        )
    if done.returncode:
        raise RuntimeError(f"{host}: {done.stderr[-2000:]}")
    return done.stdout


def start(names: list[str], known: Mapping[str, str]) -> None:
    """Begin on every host."""
    word = secrets.token_hex(16)
    request = Hidden(json.dumps({"secrets": {**known, CONTROL: word}}))

    def begin(host: str) -> None:
        on(host, f"systemctl stop {UNIT} 2>/dev/null; cat > {PLACE}.py", PROGRAM.read_text())
        on(host, f"umask 077; cat > {PLACE}.word", word)
        on(host, f"sh -c {shlex.quote(START)}", request)

    with ThreadPoolExecutor() as pool:
        list(pool.map(begin, names))


def stop(names: list[str]) -> dict[str, dict[str, Any]]:
    """End on every host; what each has seen (see trace.py)."""
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda host: on(host, f"sh -c {shlex.quote(STOP)}"), names))
    return {host: json.loads(text) for host, text in zip(names, said, strict=True)}


def problems(seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong: secrets among arguments, or a trace that cannot have seen everything."""
    found = []
    for host, result in seen.items():
        if result["mode"] != "connector":
            found.append(f"{host}: sampled only, {result['mode']}")
        if not result["found"].get(f"{CONTROL}: arguments of true"):
            found.append(f"{host}: a command that lived for a moment was not seen")
        if result["lost"] or result["unread"] * 1000 > result["execs"]:
            found.append(
                f"{host}: of {result['execs']} commands {result['unread']} had ended before their "
                f"arguments were read; the kernel dropped events {result['lost']} times"
            )
        found += [
            f"{host}: {line} ({count} times)"
            for line, count in result["found"].items()
            if not line.startswith((f"{CONTROL}: ", *DOCUMENTED))
        ]
    return found


def main(arguments: list[str]) -> int:
    """The command."""
    names = hosts()
    if arguments == ["start"]:
        start(names, values())
        print(f"tracing {len(names)} hosts of {lab()}")
        return 0
    if arguments != ["stop"]:
        print(__doc__, file=sys.stderr)
        return 2
    seen = stop(names)
    for host, result in seen.items():
        print(f"{host}: {result['execs']} commands, {result['unread']} unread")
    wrong = problems(seen)
    print("\n".join(wrong or ["no secret among their arguments"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
