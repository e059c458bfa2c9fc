"""Templates that are compiled once give what templates compiled each time give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible._internal._templating._jinja_bits import AnsibleEnvironment
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.actions import base, templates


class Environment(AnsibleEnvironment):  # type: ignore[misc]
    """One whose `compile` is not shared with the other tests."""


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Any, Any]]:
    fresh: dict[Any, Any] = {}
    monkeypatch.setattr(templates, "COMPILED", fresh)
    monkeypatch.setattr(Environment, "compile", AnsibleEnvironment.compile)
    templates.keep_compiled(Environment)
    yield fresh


def test_a_text_is_compiled_once(compiled: dict[Any, Any]) -> None:
    first, second = Environment(), Environment()
    assert first.compile("{{ a }}") is second.compile("{{ a }}")
    assert len(compiled) == 1


def test_code_is_of_the_settings_that_it_was_compiled_with(compiled: dict[Any, Any]) -> None:
    text = "  {% if true %}\nx\n  {% endif %}\n"
    plain = Environment()
    trimmed = plain.overlay(trim_blocks=False, lstrip_blocks=True)
    assert plain.compile(text).co_consts != trimmed.compile(text).co_consts
    assert len(compiled) == 2


def test_templates_by_name_are_compiled_each_time(compiled: dict[Any, Any]) -> None:
    assert Environment().compile("{{ a }}", "one.j2", "/one.j2").co_filename == "/one.j2"
    assert compiled == {}


def test_asking_twice_wraps_once() -> None:
    before = AnsibleEnvironment.compile
    templates.keep_compiled()
    once = AnsibleEnvironment.compile
    templates.keep_compiled()
    assert AnsibleEnvironment.compile is once
    assert before is once or getattr(once, "keeps", False)


def test_a_wrong_template_is_an_error_where_it_is_used_not_when_it_is_preloaded() -> None:
    templates.warm({"a": "{{ 1 +", "b": ["{{ 2 }}"]})
    templar = Templar(loader=DataLoader(), variables={})
    with pytest.raises(AnsibleError, match="Syntax error in template"):
        templar.template(trust_as_template("{{ 1 +"))


def test_texts_are_found_wherever_they_lie() -> None:
    value = {"{{ k }}": [{"a": "{% if b %}{% endif %}"}, ("{{ c }}", "plain", 7, None)]}
    assert list(templates.texts(value)) == ["{{ k }}", "{% if b %}{% endif %}", "{{ c }}"]


def test_all_roles_are_compiled_before_any_task() -> None:
    base.preload()
    keys = {key[0] for key in templates.COMPILED}
    for path in (base.PROJECT / "roles").glob("*/templates/*.j2"):
        text = path.read_text()
        if "{{" in text or "{%" in text:
            assert text in keys, path
    for path in (base.PROJECT / "roles").glob("*/vars/main.yml"):
        assert set(map(str, templates.texts(base.role_file(path)))) <= keys, path


class Loader:
    """A plugin loader that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, name: str) -> str | None:
        self.asked.append(name)
        if name == "join":
            raise KeyError(name)
        return None if name == "min" else f"the plugin {name}"


def test_what_is_no_plugin_is_searched_for_once() -> None:
    loader = Loader()
    templates.know_missing(loader, ["join", "min", "default"])
    templates.know_missing(loader, ["join", "min", "default"])
    assert loader.asked == ["join", "min", "default"]
    for name in ("join", "min"):
        with pytest.raises(KeyError):
            loader.get(name)
    assert loader.get("default") == "the plugin default"
    assert loader.get("other") == "the plugin other"
    assert loader.asked == ["join", "min", "default", "default", "other"]


def test_filters_of_jinja_ansible_and_cairn_work_as_before() -> None:
    templates.load_plugins()
    templar = Templar(loader=DataLoader(), variables={"a": [3, 1, 2]})
    for expression, value in (
        ("{{ a | min }}-{{ a | join('') }}", "1-312"),
        ("{{ a | union([4]) | sort }}", [1, 2, 3, 4]),
        ("{{ 1 is even }}", False),
        ("{{ a is subset([1, 2, 3]) }}", True),
    ):
        assert templar.template(trust_as_template(expression)) == value
    with pytest.raises(AnsibleError, match="nonesuch"):
        templar.template(trust_as_template("{{ a | nonesuch }}"))


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.one_of(st.integers(), st.text(max_size=8), st.lists(st.integers(), max_size=3)),
        min_size=2,
        max_size=4,
    ),
    expression=st.sampled_from(
        ["{{ a }}", "{{ a }}-{{ a }}", "{% if a %}x{% else %}{{ a }}{% endif %}", "{{ [a, a] }}"]
    ),
)
def test_what_was_compiled_for_one_host_serves_the_next(values: list[Any], expression: str) -> None:
    templates.keep_compiled()
    for value in values:
        with_cache = Templar(loader=DataLoader(), variables={"a": value}).template(
            trust_as_template(expression)
        )
        kept = dict(templates.COMPILED)
        templates.COMPILED.clear()
        without = Templar(loader=DataLoader(), variables={"a": value}).template(
            trust_as_template(expression)
        )
        templates.COMPILED.update(kept)
        assert with_cache == without
        assert type(with_cache) is type(without)
