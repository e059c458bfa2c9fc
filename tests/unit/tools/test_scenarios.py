"""What Molecule's tests run on hosts tells a service that works from one that does not."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

Script = Callable[[str], ModuleType]


class Answer(SimpleNamespace):
    """What a service answers."""

    def json(self) -> Any:
        """What it holds."""
        return self.data


class Session:
    """A session with a store of objects and a metric; a `deaf` one forgets what it is given."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.deaf = deaf
        self.objects: dict[str, Any] = {}
        self.deleted: list[str] = []

    def get_endpoint(self, **_: Any) -> str:
        return "https://proxy/v1/AUTH_x"

    def put(self, url: str, data: Any = None) -> None:
        if not self.deaf:
            self.objects[url] = data

    def post(self, path: str, json: Any, **_: Any) -> Answer:
        if path.endswith("/measures") and not self.deaf:
            self.objects[path] = [["then", 300.0, float(one["value"])] for one in json]
        return Answer(data={"id": "m1"})

    def get(self, url: str, **_: Any) -> Answer:
        held = self.objects.get(url)
        return Answer(data=held or [], text=held.decode() if isinstance(held, bytes) else "")

    def delete(self, url: str, **_: Any) -> None:
        self.deleted.append(url)


def run(code: str, **names: Any) -> None:
    """Run a script as the host's Python would, behind what makes its session."""
    exec(code, names)  # noqa: S102 - our own


def test_an_object_is_read_from_the_store_and_removed(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    code, greeting = script("molecule/swift/tests/test_swift.py").OBJECT, "hello from molecule\n"
    for deaf in (False, True):
        session = Session(deaf=deaf)
        run(code, session=session)
        assert (capsys.readouterr().out == greeting) is not deaf
        assert [url.rpartition("/")[2] for url in session.deleted] == ["greeting", "cairn-molecule"]


def test_a_measure_is_what_was_aggregated_and_not_what_was_sent(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    code = script("molecule/gnocchi/tests/test_gnocchi.py").MEASURE
    session = Session()
    run(code, session=session, SECONDS=0)
    assert capsys.readouterr().out == "42.0\n"
    assert session.deleted == ["/v1/metric/m1"]
    deaf = Session(deaf=True)
    with pytest.raises(SystemExit, match="metricd has not aggregated"):
        run(code, session=deaf, SECONDS=-1)
    assert deaf.deleted == ["/v1/metric/m1"]
