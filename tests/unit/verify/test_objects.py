"""Proof of the object store: signatures as Amazon publishes them, reports, and cleaning up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
import yaml

from cairn.verify import objects as verify_objects
from cairn.verify.run import ProofError
from tests.unit.verify.library import catalog

ROOT = Path(__file__).resolve().parents[3]
# "Signature Calculations for the Authorization Header", Amazon S3 API reference.
ACCESS = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BUCKET = "https://examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("path", "headers", "signature"),
    [
        ("/test.txt", {"Range": "bytes=0-9"},
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("/?lifecycle", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", {},
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)  # fmt: skip
def test_requests_are_signed_as_amazon_does(
    path: str, headers: dict[str, str], signature: str
) -> None:
    now = datetime(2013, 5, 24, tzinfo=UTC)
    made = verify_objects.sign("GET", BUCKET + path, headers, b"", ACCESS, SECRET, "us-east-1", now)
    assert made["Authorization"].endswith(f"Signature={signature}")


REPORT = """{"object": {"copies_found": 9, "copies_expected": 9, "pct_found": 100.0}}
{"container": {"copies_found": %d, "copies_expected": 9, "pct_found": 100.0}}
"""


def test_a_report_of_all_copies_is_shown() -> None:
    text = verify_objects.dispersion_text("Using storage policy: standard\n" + REPORT % 9)
    assert text == "9 of 9 of objects, 9 of 9 of containers"


def test_missing_copies_are_no_proof() -> None:
    with pytest.raises(ProofError, match=r"copies are missing: .* 8 of 9 of containers"):
        verify_objects.dispersion_text(REPORT % 8)


@pytest.mark.parametrize("report", ["", "Traceback", "{}", '{"object": {}}', '{"object": 3}'])
def test_no_report_is_no_proof(report: str) -> None:
    with pytest.raises(ProofError, match="made no report"):
        verify_objects.dispersion_text(report)


NULL = '{"container": {"copies_found": 6, "copies_expected": 6}, "object": null}'


@pytest.mark.parametrize(("report", "enough"), [(REPORT % 8, True), (NULL, False)])
def test_a_report_of_an_empty_listing_is_asked_for_again(report: str, enough: bool) -> None:
    tasks = yaml.safe_load((ROOT / "roles/verify/tasks/objects.yml").read_text())
    (until,) = [task["until"] for task in tasks if "until" in task]
    judge = jinja2.Environment(autoescape=True).compile_expression(until)
    assert judge(__verify_dispersion={"stdout": report}) is enough


class Store:
    """Accounts of an object store, as far as an administrator's session shows them."""

    def __init__(self) -> None:
        self.accounts: dict[str, dict[str, list[str]]] = {}
        self.session = self
        self.endpoints = {"object-store": "https://cloud:8080/v1/AUTH_admin"}

    def get_endpoint(self, **wanted: Any) -> str | None:
        return catalog(self.endpoints).get_endpoint(**wanted)

    def _find(self, url: str) -> list[str]:
        return url.removeprefix("https://cloud:8080/v1/AUTH_").split("/", 2)

    def get(self, url: str, **_: Any) -> Any:
        project, *names = self._find(url)
        containers = self.accounts.get(project)
        if containers is None:
            return SimpleNamespace(status_code=404)
        found = containers[names[0]] if names else list(containers)
        return SimpleNamespace(status_code=200, json=lambda: [{"name": n} for n in found])

    def delete(self, url: str, **_: Any) -> Any:
        project, container, *name = self._find(url)
        if name:
            self.accounts[project][container].remove(name[0])
        else:
            assert not self.accounts[project].pop(container), "swift refuses: not empty"
        return SimpleNamespace(status_code=204)


def test_containers_of_a_run_go_with_their_objects_and_others_stay() -> None:
    store = Store()
    store.accounts["p1"] = {"cairn-verify-1": ["a", "b"], "mine": ["c"]}
    assert verify_objects.forget(store, "p1") == ["container cairn-verify-1"]
    assert store.accounts == {"p1": {"mine": ["c"]}}


def test_a_project_that_stored_nothing_is_no_trouble() -> None:
    assert verify_objects.forget(Store(), "p2") == []
    without = Store()
    without.endpoints = {"compute": "https://cloud:8774/v2.1"}
    assert verify_objects.forget(without, "p1") == []


class LateListing:
    """A user's object store whose listing shows an object only when it is asked again."""

    def __init__(self) -> None:
        self.object_store = self
        self.listings: list[list[str]] = [[], ["by-swift"]]
        self.data = b""

    def create_container(self, _: str) -> None:
        """Nothing to do."""

    def upload_object(self, data: bytes, **_: Any) -> None:
        self.data = data

    def download_object(self, *_: Any, **__: Any) -> bytes:
        return self.data

    def objects(self, _: str) -> list[Any]:
        names = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
        return [SimpleNamespace(name=name) for name in names]


def test_a_listing_may_come_late() -> None:
    run = SimpleNamespace(name="cairn-verify-1")
    found = verify_objects.by_swift(LateListing(), run, b"content")  # type: ignore[arg-type]
    assert "listed" in found.text


def test_a_listing_that_never_comes_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_objects, "SECONDS", 0)
    user = LateListing()
    user.listings = [[]]
    run = SimpleNamespace(name="cairn-verify-1")
    with pytest.raises(ProofError, match="by-swift in the listing"):
        verify_objects.by_swift(user, run, b"content")  # type: ignore[arg-type]
