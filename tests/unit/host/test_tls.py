"""A host's key, certificate and trust in the site's authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn.site import certificates
from cairn_host import tls
from cairn_host.errors import HostError


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything lies in a temporary folder."""
    for name, path in {
        "KEY": "host.key", "CERTIFICATE": "host.pem", "HOOKS": "reload.d", "RELOAD_DUE": ".untold",
        "ANCHOR": "ca.crt", "BUNDLE": "bundle", "LINK": "cairn-ca.pem",
    }.items():  # fmt: skip
        monkeypatch.setattr(tls, name, tmp_path / path)
    monkeypatch.setattr(tls, "GROUP", "root")


def hook(name: str, script: str) -> None:
    tls.HOOKS.mkdir(exist_ok=True)
    (tls.HOOKS / name).write_text(f"#!/bin/sh\n{script}\n")
    (tls.HOOKS / name).chmod(0o755)


def test_the_key_is_made_once_and_closed() -> None:
    assert tls.ensure_key()
    key = tls.KEY.read_text()
    assert tls.KEY.stat().st_mode & 0o777 == 0o640
    assert not tls.ensure_key()
    assert tls.KEY.read_text() == key


def test_a_plan_makes_no_key(authority: tuple[str, str]) -> None:
    planned = tls.request(authority[0], check_mode=True)
    assert planned == {"changed": True, "request": "", "certificate": "", "complete": False}
    assert not tls.KEY.exists()
    done = tls.request(authority[0], check_mode=False)
    assert done["changed"] and "BEGIN CERTIFICATE REQUEST" in str(done["request"])
    assert not tls.request(authority[0], check_mode=True)["changed"]


def test_the_request_of_a_host_can_be_signed(authority: tuple[str, str]) -> None:
    tls.ensure_key()
    request = tls.signing_request()
    assert "PRIVATE" not in request
    pem = certificates.sign(request, ["controller1"], *authority, days=30)
    assert certificates.why_renew(pem, request, ["controller1"], authority[0], renew_days=1) is None


def test_hooks_run_in_order_and_a_failing_one_is_named(tmp_path: Path) -> None:
    hook("b", f"echo b >> {tmp_path}/ran")
    hook("a", f"echo a >> {tmp_path}/ran")
    (tls.HOOKS / "notes").write_text("no program\n")
    assert tls.reload_services() == ["a", "b"]
    assert (tmp_path / "ran").read_text() == "a\nb\n"
    hook("a", "echo out of order >&2; exit 3")
    with pytest.raises(HostError, match=r"a \(exit 3\): out of order"):
        tls.reload_services()


def test_trust_means_bundle_and_own_file(authority: tuple[str, str]) -> None:
    pem = authority[0]
    assert not tls.trusted(pem)
    tls.BUNDLE.write_text(f"another\n{pem}")
    assert not tls.trusted(pem)
    tls.LINK.write_text(pem)
    assert tls.trusted(pem)
    assert not tls.trusted(certificates.certificate_authority()[0])


def test_services_that_a_failed_run_did_not_reload_are_reloaded_by_the_next(
    authority: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tls.ensure_key()
    tls.BUNDLE.write_text(authority[0])
    tls.LINK.write_text(authority[0])
    new = (authority[0], "new", {"due-pki": "2027"})
    recorded: list[tuple[str, str]] = []
    monkeypatch.setattr(tls, "record", lambda *what: recorded.append(what))
    hook("service", "exit 1")
    with pytest.raises(HostError, match="is installed, but services still use the old one"):
        tls.install(*new)
    assert not tls.request(authority[0], False)["complete"]
    assert recorded == []
    hook("service", "exit 0")
    assert tls.install(*new) == ["service"]
    assert tls.request(authority[0], False)["complete"]
    assert recorded == [("due-pki", "2027")]
