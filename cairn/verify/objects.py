"""Objects stored and read as a user would, through swift's API and S3's."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from openstack import exceptions

from .finding import Finding
from .run import PREFIX, ProofError, Run, endpoint, explained, user_cloud, wait

SERVICE = "object-store"
SIZE = 300_000
SECONDS = 60


def objects(admin: Any, run: Run, dispersion: str, location: str) -> list[Finding]:
    """Store and read objects as the run's user; ProofError if a step fails.

    `dispersion` is the JSON output of swift-dispersion-report, `location` the region in the
    signatures of S3 requests.
    """
    user = user_cloud(admin, run)
    content = os.urandom(SIZE)
    found = [by_swift(user, run, content)]
    found.append(by_s3(user, run, content, location))
    found.append(Finding("copies of objects", dispersion_text(dispersion)))
    run.times["objects"] = time.time()
    return found


def by_swift(user: Any, run: Run, content: bytes) -> Finding:
    """Store an object and read it back."""
    name = "by-swift"

    def listed() -> list[str]:
        return [one.name for one in user.object_store.objects(run.name)]

    with explained("storing an object"):
        user.object_store.create_container(run.name)
        user.object_store.upload_object(container=run.name, name=name, data=content)
        got = user.object_store.download_object(name, container=run.name)
        wait(f"object {name} in the listing of {run.name}", SECONDS, lambda: listed() == [name])
    if got != content:
        raise ProofError(f"object {name}: {len(got)} bytes were read, but {SIZE} were stored")
    return Finding("object by swift's API", f"{SIZE} bytes stored, listed and read in {run.name}")


def by_s3(user: Any, run: Run, content: bytes, location: str) -> Finding:
    """Read the same object by S3, store another, and be refused with a wrong key."""
    with explained("asking keystone for S3 credentials"):
        answer = user.session.post(
            f"/users/{run.ids['user']}/credentials/OS-EC2",
            json={"tenant_id": run.ids["project"]},
            endpoint_filter={"service_type": "identity", "interface": "public"},
        )
        exceptions.raise_from_response(answer)
    pair = answer.json()["credential"]
    parts = urlsplit(user.session.get_endpoint(service_type=SERVICE, interface="public"))
    base = f"{parts.scheme}://{parts.netloc}/{run.name}"
    keys = (pair["access"], pair["secret"], location)
    ca_file = user.config.config.get("cacert") or True

    def ask(method: str, name: str, keys: tuple[str, str, str], body: bytes = b"") -> Any:
        url = f"{base}/{name}"
        headers = sign(method, url, {}, body, *keys, datetime.now(UTC))
        try:
            return requests.request(
                method, url, headers=headers, data=body, verify=ca_file, timeout=SECONDS
            )
        except requests.RequestException as error:
            raise ProofError(f"{method} {url} by S3: {error}") from error

    read = ask("GET", "by-swift", keys)
    if read.status_code != 200 or read.content != content:
        raise ProofError(f"reading by S3: {shown(read)}")
    wrote = ask("PUT", "by-s3", keys, content[:1000])
    if wrote.status_code != 200:
        raise ProofError(f"storing by S3: {shown(wrote)}")
    forged = ask("GET", "by-swift", (pair["access"], "not the secret", location))
    if forged.status_code != 403:
        raise ProofError(f"a wrong S3 key was not refused: {shown(forged)}")
    return Finding("object by S3's API", "read and stored with EC2 credentials, refused without")


def shown(answer: Any) -> str:
    """An answer in a line."""
    return f"HTTP {answer.status_code}: {' '.join(answer.text[:300].split())}"


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    access: str,
    secret: str,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """The headers of an S3 request with its signature (AWS Signature Version 4).

    `url` is quoted already. Raises nothing; a wrong key makes a wrong signature.
    """
    parts = urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    named = {"Host": parts.netloc, **headers, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    lower = sorted((name.lower(), value.strip()) for name, value in named.items())
    signed = ";".join(name for name, _ in lower)
    query = "&".join(
        f"{quote(key, safe='-_.~')}={quote(value, safe='-_.~')}"
        for key, value in sorted(parse_qsl(parts.query, keep_blank_values=True))
    )
    lines = [f"{name}:{value}\n" for name, value in lower]
    canonical = "\n".join([method, parts.path or "/", query, "".join(lines), signed, digest])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={access}/{scope},SignedHeaders={signed},Signature={signature}"
    )
    return {**named, "Authorization": authorization}


def dispersion_text(report: str) -> str:
    """The result of swift-dispersion-report, in words; ProofError if copies are missing."""
    try:
        parts = [json.loads(line) for line in report.splitlines() if line.startswith("{")]
        kinds = {kind: found for one in parts for kind, found in one.items()}
        counts = {k: (f["copies_found"], f["copies_expected"]) for k, f in kinds.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        counts = {}
    if not counts:
        raise ProofError(f"swift-dispersion-report made no report: {report.strip()[-500:]}")
    text = ", ".join(f"{have} of {want} of {kind}s" for kind, (have, want) in counts.items())
    if any(have < want for have, want in counts.values()):
        raise ProofError(
            f"copies are missing: {text}; is a disk or a host down, or a rebalance in progress?"
        )
    return text


def forget(admin: Any, project: str) -> list[str]:
    """Remove the containers of runs in a project; returns what was removed, in words."""
    own = endpoint(admin, SERVICE)
    if own is None:
        return []
    account = f"{own.rpartition('/AUTH_')[0]}/AUTH_{project}"
    removed = []
    for container in listing(admin, account):
        if not container.startswith(PREFIX):
            continue
        for name in listing(admin, f"{account}/{quote(container)}"):
            delete(admin, f"{account}/{quote(container)}/{quote(name)}")
        delete(admin, f"{account}/{quote(container)}")
        removed.append(f"container {container}")
    return removed


def listing(admin: Any, url: str) -> list[str]:
    """Names in an account or container; none if it does not exist."""
    answer = admin.session.get(url, params={"format": "json"}, raise_exc=False)
    if answer.status_code == 404:
        return []
    exceptions.raise_from_response(answer)
    return [str(entry["name"]) for entry in answer.json()]


def delete(admin: Any, url: str) -> None:
    """Delete the resource of a URL, if it exists."""
    answer = admin.session.delete(url, raise_exc=False)
    if answer.status_code != 404:
        exceptions.raise_from_response(answer)
