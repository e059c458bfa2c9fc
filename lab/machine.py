"""What guests take over from the machine that runs the lab: mirrors, certificates, indexes."""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path

from lab.run import LabError, Progress, call, stream

SUITE = "trixie"


def apt_options() -> list[str]:
    """The machine's own apt settings for downloads (proxies, validity), as `Name "value";`."""
    kept = re.compile(r'Acquire::(?:https?::|Check-|Retries|ForceIPv4|ForceIPv6)\S* ".+";$')
    return [
        line for line in call(["apt-config", "dump", "Acquire"]).splitlines() if kept.match(line)
    ]


def _sources() -> str:
    files = [Path("/etc/apt/sources.list")]
    for pattern in ("*.list", "*.sources"):
        files += sorted(Path("/etc/apt/sources.list.d").glob(pattern))
    return "\n".join(path.read_text() for path in files if path.is_file())


def mirrors(text: str | None = None) -> tuple[str, str]:
    """Debian's mirror and security mirror: CAIRN_DEBIAN_MIRROR, or as the machine's apt has them.

    LabError when neither names one.
    """
    urls = re.findall(r"https?://[^\s\]]+", re.sub(r"(?m)^\s*#.*$", "", text or _sources()))
    urls = [url.rstrip("/") for url in (os.environ.get("CAIRN_DEBIAN_MIRROR", ""), *urls) if url]
    main = next((url for url in urls if url.endswith("/debian")), None)
    if main is None:
        raise LabError(
            "this machine's apt sources name no mirror of Debian; "
            "set CAIRN_DEBIAN_MIRROR to the URL of one that ends in /debian"
        )
    security = next((url for url in urls if url.endswith("/debian-security")), f"{main}-security")
    return main, security


def sources(*, backports: bool = False) -> list[str]:
    """Lines of sources.list for Debian 13."""
    main, security = mirrors()
    lines = [
        f"deb {main} {SUITE} main",
        f"deb {main} {SUITE}-updates main",
        f"deb {security} {SUITE}-security main",
    ]
    if backports:
        lines.append(f"deb {main} {SUITE}-backports main")
    return lines


def bootstrap(
    root: Path,
    packages: list[str],
    progress: Progress,
    log: Path,
    descriptor: int,
    *,
    backports: bool = False,
) -> None:
    """Install a minimal Debian 13 with `packages` into the new folder `root`.

    mmdebstrap's mounts and processes are in namespaces of their own: they cannot outlive it.
    `descriptor` is the lock to hold meanwhile.
    """
    options = [f"--aptopt={option}" for option in apt_options()]
    wanted = f"--include={','.join(packages)}"
    stream(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
         "mmdebstrap", "--mode=root", "--variant=minbase", wanted, *options,
         SUITE, str(root), *sources(backports=backports)],
        progress, "installing", log, pass_fds=[descriptor],
    )  # fmt: skip


def certificates() -> dict[str, bytes]:
    """Extra certificate authorities of the machine: file name to PEM."""
    folder = Path("/usr/local/share/ca-certificates")
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.crt"))}


def resolv_conf() -> str:
    """The machine's name servers, without stubs that only answer on the machine itself."""
    text = Path("/etc/resolv.conf").read_text()
    if "127.0.0.53" in text:
        text = Path("/run/systemd/resolve/resolv.conf").read_text()
    lines = [line for line in text.splitlines() if re.match(r"(nameserver|search|options)\s", line)]
    return "\n".join(lines) + "\n"


BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_WANTED = re.compile(
    r"(PIP_(EXTRA_)?INDEX_URL|PIP_DEFAULT_TIMEOUT|UV_(DEFAULT_|EXTRA_)?INDEX(_URL)?"
    r"|UV_HTTP_TIMEOUT|SSL_CERT_FILE|(https?|no)_proxy)$",
    re.IGNORECASE,
)


def environment() -> dict[str, str]:
    """Variables of the machine that say where Python packages come from, for use in a guest.

    Values that name the machine's own files are left out, except for the certificate bundle, which
    every Debian has at the same place and which has the machine's authorities in guests too.
    """
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if _WANTED.match(name) and (value == BUNDLE or not value.startswith(("/", "file:")))
    }


def python_indexes() -> dict[str, str]:
    """Configuration of pip and uv for guests: path to content, from the machine's own."""
    home = Path.home()
    found = configparser.ConfigParser(interpolation=None)
    found.read(["/etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf"])
    lines = []
    for option in ("index-url", "extra-index-url", "trusted-host", "proxy"):
        values = found.get("global", option, fallback="").split()
        kept = [value for value in values if not value.startswith(("/", "file:"))]
        if kept:
            lines.append(f"{option} = {' '.join(kept)}\n")
    files = {"etc/pip.conf": "[global]\n" + "".join(lines)} if lines else {}
    for path in (home / ".config/uv/uv.toml", Path("/etc/uv/uv.toml")):
        if path.is_file():
            files["etc/uv/uv.toml"] = path.read_text()
            break
    return files
