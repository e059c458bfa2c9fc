"""A value of a wrong type in a description is refused: with file, block and what it should be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from cairn.errors import DescriptionError
from cairn.service import blocks, registry

# Every block by its place: `[]` is an item of a list, `*` a name that the description chooses.
TEXT = """
    summary with after[] groups[] user.name user.home user.shell user.groups[] lock
    distro_modules[] packages[].names[] packages[].groups[]
    directories[].path directories[].groups[] directories[].owner directories[].group
    directories[].mode config[].file config[].groups[] config[].owner config[].group config[].mode
    config[].namespaces[] config[].like.*[] config[].dialect
    files[].path files[].groups[] files[].owner files[].group files[].mode files[].template
    files[].copy files[].from_venv files[].dialect build[].folder build[].groups[] build[].files[]
    units.*.groups[] units.*.wsgi units.*.static units.*.command units.*.config_files[]
    units.*.health.http units.*.health.address units.*.frontend.mode units.*.frontend.balance
    units.*.frontend.timeout units.*.frontend.static units.*.on_change units.*.state units.*.type
    units.*.plane mounts[].what mounts[].where mounts[].type mounts[].options databases[]
    queue.policies[].name queue.policies[].pattern
    catalog.type catalog.name catalog.description catalog.path catalog.user catalog.roles[]
    catalog.domain.name catalog.domain.admin catalog.extra_roles[]
    catalog[].type catalog[].name catalog[].description catalog[].path catalog[].user
    catalog[].roles[] catalog[].domain.name catalog[].domain.admin catalog[].extra_roles[]
    migrations[].name migrations[].phase migrations[].command secrets.* sudoers
"""
LISTS = """
    after groups user.groups distro_modules packages packages[].names packages[].groups directories
    directories[].groups config config[].groups config[].namespaces config[].like.* files
    files[].groups build build[].groups build[].files build[].commands build[].commands[]
    units.*.groups units.*.config_files units.*.health.command mounts databases queue.policies
    catalog.roles catalog.extra_roles catalog[].roles catalog[].extra_roles migrations validate
    validate[]
"""
MAPPINGS = """
    user packages[] directories[] config[] config[].oslo config[].sections config[].sections.*
    config[].like files[] build[] units units.* units.*.uwsgi units.*.environment units.*.unit
    units.*.service units.*.health units.*.frontend units.*.dropin units.*.dropin.* units.*.timer
    mounts[] queue.policies[] queue.policies[].definition catalog.domain catalog[] catalog[].domain
    migrations[] records secrets
"""
WHOLE = """
    units.*.port units.*.processes units.*.threads units.*.health.tcp units.*.health.port
    units.*.health.active units.*.health.timeout units.*.frontend.port
    units.*.frontend.server_port units.*.frontend.check_port units.*.frontend.redirect_from
    catalog.port catalog[].port
"""
TRUTHS = """
    optional user.external config[].secret files[].secret units.*.distro units.*.enabled
    units.*.frontend.public units.*.frontend.internal units.*.frontend.single_writer
"""
WORDS = "files[].content build[].commands[][] units.*.health.command[] validate[][]"
SEVERAL = "queue catalog units.*.sandbox"
FREE = {"migrations[].inputs"}
WRONG: list[tuple[str, Any, str]] = [
    *((place, 5, "is the number 5; it must be text") for place in TEXT.split()),
    *((place, {"x": 1}, "is a mapping; it must be text") for place in TEXT.split()),
    *((place, "all", "is text; it must be a list of ") for place in LISTS.split()),
    *((place, {"x": 1}, "is a mapping; it must be a list of ") for place in LISTS.split()),
    *((place, ["x"], "is a list; it must be a mapping") for place in MAPPINGS.split()),
    *((place, "x", "is text; it must be a mapping") for place in MAPPINGS.split()),
    *((place, "many", "is text; it must be a whole number") for place in WHOLE.split()),
    *((place, True, "is true; it must be a whole number") for place in WHOLE.split()),
    *((place, "maybe", "is text; it must be true or false") for place in TRUTHS.split()),
    *((place, 1, "is the number 1; it must be true or false") for place in TRUTHS.split()),
    *((place, ["x"], "is a list; it must be text or a number") for place in WORDS.split()),
    *((place, False, "is false; it must be text or a number") for place in WORDS.split()),
    ("queue", "x", "is text; it must be true or false or a mapping with policies"),
    ("catalog", 5, "is the number 5; it must be a mapping with .* or a list of mappings"),
    ("units.*.sandbox", 5, "is the number 5; it must be true or false or a mapping"),
]


def places(block: blocks.Block, where: str = "") -> Iterator[str]:
    """All blocks that a description may have."""
    several = block if isinstance(block, tuple) else (block,)
    if where and where not in SEVERAL.split():
        yield where
    for one in several:
        if isinstance(one, blocks.Each):
            yield from places(one.item, f"{where}[]")
        elif isinstance(one, blocks.Named) and one.item is not blocks.ANY:
            yield from places(one.item, f"{where}.*")
        elif isinstance(one, blocks.Keys):
            for name, inner in one.known.items():
                yield from places(inner, f"{where}.{name}".lstrip("."))


def nested(place: str, wrong: Any) -> Any:
    """A description that has nothing but a wrong value at a place."""
    made = wrong
    for step in reversed(re.findall(r"\[\]|[\w*]+", place)):
        made = [made] if step == "[]" else {step.replace("*", "name"): made}
    return made


def shown(place: str) -> str:
    """How errors call a place."""
    return re.escape(place.replace("[]", "[0]").replace("*", "name"))


def test_every_block_is_tried_with_wrong_types() -> None:
    assert {place for place, *_ in WRONG} | FREE == {
        *places(blocks.DESCRIPTION),
        *SEVERAL.split(),
    }


@pytest.mark.parametrize(("place", "wrong", "expected"), WRONG)
def test_a_wrong_type_in_the_file_names_file_block_and_right_type(
    make_model, edit, place: str, wrong: Any, expected: str
) -> None:
    edit(nested(place, wrong))
    where = rf"^example_service\.{shown(place)} {expected}.* \(roles/example/vars/main\.yml\)$"
    with pytest.raises(DescriptionError, match=where):
        make_model().manifests()


@pytest.mark.parametrize(("place", "wrong", "expected"), WRONG)
def test_a_wrong_type_that_a_template_makes_is_refused_alike(
    make_model, edit, place: str, wrong: Any, expected: str
) -> None:
    if place in ("summary", "with", "optional") or place.startswith(("after", "groups")):
        pytest.skip("read before anything is templated")
    block, described = next(iter(nested(place, wrong).items()))
    edit({block: "{{ made }}"})
    model = make_model()
    model._template = lambda value, _: described if value == "{{ made }}" else value
    where = rf"^example_service\.{shown(place)} {expected}.* \(roles/example/vars/main\.yml\)$"
    with pytest.raises(DescriptionError, match=where):
        model.part("example", block)


@pytest.mark.parametrize("wrong", [None, "x", 5, ["x"]])
def test_a_description_that_is_no_mapping(make_model, project, wrong: Any) -> None:
    path = project / "roles/example/vars/main.yml"
    path.write_text(f"example_service: {'null' if wrong is None else wrong}\n")
    with pytest.raises(DescriptionError, match=r"^example_service is .*; it must be a mapping"):
        make_model().roles()


@pytest.mark.parametrize("block", sorted(blocks.DESCRIPTION.known))
def test_a_block_without_a_value_is_none(make_model, edit, block: str) -> None:
    needed = {"groups", "lock"}  # of the example, whose files come from its virtualenv
    if block in needed:
        pytest.skip("the example needs it")
    edit({"config": [], "files": [], "units": {}, block: None})
    assert make_model().manifest("example")


def test_a_number_may_be_text_for_templates_make_it_so(make_model, edit) -> None:
    edit({"units": {"x": {"command": "y", "threads": "4"}}})
    assert make_model().manifest("example")


def test_an_item_is_called_by_its_name(make_model, edit) -> None:
    edit({"files": [{"path": "/etc/one", "content": ""}, {"path": "/etc/two", "mode": 0o640}]})
    with pytest.raises(DescriptionError, match=r"files /etc/two\.mode is the number 416; .* text"):
        make_model().manifests()


def test_values_are_not_shown() -> None:
    with pytest.raises(DescriptionError) as caught:
        blocks.check("example", {"groups": "tiger"})
    assert "tiger" not in str(caught.value)


def test_descriptions_are_read_with_the_same_judgement(project, edit) -> None:
    edit({"units": ["x"]})
    with pytest.raises(DescriptionError, match=r"example_service\.units is a list"):
        registry.descriptions(project)
