"""A host's package sources, as apt itself reads them, and whether they answer.

Runs on the managed host. The sources and the configuration come from apt, which alone knows all
their forms. Neither needs the network or downloaded lists.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ..masking import mask_urls

# Without downloaded lists and installed packages, which would cost apt half a second.
SOURCES = (
    *("apt-get", "-o", "Dir::State=/nonexistent", "-o", "Dir::State::status=/dev/null"),
    *("indextargets", "--no-release-info", "--format", "$(REPO_URI)", "Created-By: Packages"),
)
CONFIGURATION = ("apt-config", "dump", "--no-empty", "--format", "%f%N%v%n")
AUTO_DETECT = ("/usr/lib/apt/apt-helper", "auto-detect-proxy")
METHODS = "/usr/lib/apt/methods"
CONFIGURATION_FOLDER = Path("/etc/apt")
REMEMBERED = Path("/run/cairn-apt.json")
COMMAND_TIMEOUT = 20.0
MIRROR_TIMEOUT = 5.0
PORTS = {"http": 80, "https": 443, "socks5h": 1080}
PROXY_FAILURES = {407: "wants a login", 502: "", 503: "", 504: ""}


@dataclass(frozen=True)
class Apt:
    """Apt's sources, its options (names in lower case), and its error if it refuses them."""

    uris: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def ask_apt() -> Apt:
    """Read apt's sources and options; empty if apt is not installed."""
    environment = {**os.environ, "LC_ALL": "C"}

    def ask(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )

    try:
        with ThreadPoolExecutor(max_workers=2) as pool:
            sources, dumped = pool.map(ask, (SOURCES, CONFIGURATION))
    except FileNotFoundError:
        return Apt()
    except subprocess.TimeoutExpired:
        return Apt(problem=f"apt-get did not list its sources within {COMMAND_TIMEOUT:.0f} s")
    if sources.returncode:
        complaints = re.findall(r"^E: (.*)$", sources.stderr, re.M) or [sources.stderr.strip()]
        return Apt(problem=mask_urls(complaints[0]))
    lines = (line.partition("\t") for line in dumped.stdout.splitlines())
    options = {
        name.lower(): value
        for name, _, value in lines
        if "proxy" in name.lower() or name.lower() == "dir::bin::methods"
    }
    return Apt(list(dict.fromkeys(sources.stdout.splitlines())), options)


def fingerprint(folder: Path) -> str:
    """A hash over apt's configuration folder and the file named by APT_CONFIG."""
    paths = [folder, *sorted(folder.rglob("*"))]
    if other := os.environ.get("APT_CONFIG"):
        paths.append(Path(other))
    parts = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            parts.append((str(path), status.st_mtime_ns, status.st_size))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def read_apt() -> Apt:
    """The result of `ask_apt`, cached until the next boot while the configuration is unchanged.

    Every run probes every host: this saves two commands each time.
    """
    key = fingerprint(CONFIGURATION_FOLDER)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        cached = json.loads(REMEMBERED.read_text())
        if cached["key"] == key:
            return Apt(**cached["apt"])
    apt = ask_apt()
    if not apt.problem:
        with contextlib.suppress(OSError):
            remember(REMEMBERED, {"key": key, "apt": asdict(apt)})
    return apt


def remember(path: Path, data: Mapping[str, object]) -> None:
    """Write JSON that only root can read: URLs may hold passwords."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(fresh, flags, 0o600), "w") as handle:
            json.dump(data, handle)
        fresh.rename(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


# --- proxies ---------------------------------------------------------------------------------


def proxy_of(uri: str, apt: Apt, environment: Mapping[str, str] = os.environ) -> str:
    """The proxy that apt uses for a URI, "" for none, in the order of apt's http method.

    For https the options of http apply if https has none (apt-transport-https(1)).
    """
    parts = urlsplit(uri)
    host = (parts.hostname or "").lower()
    schemes = ["https", "http"] if parts.scheme == "https" else ["http"]

    def option(name: str) -> str:
        named = (apt.options.get(f"acquire::{scheme}::{name}", "") for scheme in schemes)
        return next(filter(None, named), "")

    proxy = option(f"proxy::{host}")
    if not proxy and any(option(name) for name in ("proxy-auto-detect", "proxyautodetect")):
        proxy = auto_detected(uri)
    proxy = proxy or option("proxy")
    if not proxy:
        proxy = environment.get("http_proxy", "")
        if parts.scheme == "https":
            proxy = environment.get("https_proxy", proxy)
    excepted = environment.get("no_proxy", "").lower().split(",")
    if proxy.upper() == "DIRECT" or any(end and host.endswith(end) for end in excepted):
        return ""
    return proxy


def auto_detected(uri: str) -> str:
    """The output of the command in Acquire::http::Proxy-Auto-Detect: a proxy, DIRECT, or ""."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        output = subprocess.run(
            [*AUTO_DETECT, uri],
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
            timeout=COMMAND_TIMEOUT,
            check=False,
        ).stdout
        if named := re.search(r"'([^']*)' for", output):
            return named[1]
    return ""


# --- does it answer? -------------------------------------------------------------------------


def problem_of(uri: str, apt: Apt) -> str:
    """Why a source cannot be used, "" if it can."""
    scheme, _, rest = uri.partition(":")
    if scheme == "cdrom":
        return "it is a CD"
    if scheme in ("file", "copy"):
        path = Path(unquote("/" + rest.lstrip("/")))
        return "" if path.is_dir() else "there is no such folder"
    if not Path(apt.options.get("dir::bin::methods", METHODS), scheme).exists():
        return f"apt has no method {scheme}; install a package such as apt-transport-{scheme}"
    if scheme in ("mirror+file", "mirror+copy"):
        return _list_problem(Path(unquote("/" + rest.strip("/"))), apt)
    if scheme in ("mirror", "mirror+http", "mirror+https"):
        # Check the list itself; apt chooses among its mirrors.
        uri = f"{scheme.partition('+')[2] or 'http'}:{rest.rstrip('/')}"
    elif scheme not in ("http", "https"):
        return ""  # another method, which cannot be checked
    return ask(uri, proxy_of(uri, apt))


def _list_problem(path: Path, apt: Apt) -> str:
    """Why none of the mirrors of a list (apt-transport-mirror(1)) can be used."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"{path}: {error.strerror}"
    uris = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    if not uris:
        return f"{path} names no mirror"
    problems = []
    for uri in uris:
        problem = "a list within a list" if uri.startswith("mirror") else problem_of(uri, apt)
        if not problem:
            return ""
        problems.append(f"{mask_urls(uri)}: {problem}")
    return "; ".join(problems)


def ask(url: str, proxy: str = "") -> str:
    """Why a mirror does not answer over HTTP or HTTPS, "" if it does.

    Any HTTP answer counts; with TLS a connection is enough.
    """
    wanted, server = urlsplit(url), urlsplit(proxy or url)
    host = server.hostname or ""
    try:
        port = server.port or PORTS.get(server.scheme, 80)
        with socket.create_connection((host, port), MIRROR_TIMEOUT) as connection:
            request = _request(wanted, server if proxy else None)
            if not request:
                return ""
            connection.sendall(request.encode())
            answer = connection.recv(64).decode("latin-1")
    except socket.gaierror:
        return f"{host} does not resolve"
    except ValueError as error:  # a port that is no number
        return f"{host}: {error}"
    except OSError as error:
        return f"{host} port {port}: {error.strerror or error}"
    status = re.match(r"HTTP/\S+ (\d{3})", answer)
    if not status:
        return f"{host} port {port} does not speak HTTP"
    code = int(status[1])
    if not proxy or (code not in PROXY_FAILURES and not (code >= 400 and wanted.scheme == "https")):
        return ""
    failure = PROXY_FAILURES.get(code) or "does not get through"
    return f"the proxy {host} port {port} {failure} (HTTP {code})"


def _request(wanted: SplitResult, proxy: SplitResult | None) -> str:
    """The request to a mirror or its proxy; empty if a connection is enough."""
    host = (wanted.netloc.rpartition("@")[2]) or ""
    path = wanted.path or "/"
    if proxy is None:
        line = "" if wanted.scheme == "https" else f"HEAD {path}"
    elif proxy.scheme != "http":
        line = ""
    elif wanted.scheme == "https":
        line = f"CONNECT {host if wanted.port else host + ':443'}"
    else:
        line = f"HEAD http://{host}{path}"
    if not line:
        return ""
    headers = [f"{line} HTTP/1.0", f"Host: {host}"]
    if proxy and proxy.username:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        token = base64.b64encode(login.encode()).decode()
        headers.append(f"Proxy-Authorization: Basic {token}")
    return "\r\n".join([*headers, "", ""])


def read_mirrors() -> Iterator[tuple[str, str]]:
    """Every source, with passwords masked, and why it cannot be used ("" if it can)."""
    apt = read_apt()
    if apt.problem:
        yield "/etc/apt", f"apt cannot read it: {apt.problem}"
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = pool.map(lambda uri: problem_of(uri, apt), apt.uris)
        for uri, problem in zip(apt.uris, answers, strict=True):
            yield mask_urls(uri).rstrip("/"), problem
