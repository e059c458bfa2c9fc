"""A playbook that is for nobody fails and says why; one whose later plays are empty does not."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible import constants as C  # noqa: N812
from ansible import context
from ansible.errors import AnsibleParserError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from cairn.invocation import refused_tags
from cairn.site.inventories import Inventory
from cairn.site.planes import GROUPS
from tests.warm_ansible import Ran

ROOT = Path(__file__).resolve().parents[3]
ENTRIES = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
HOSTS = (
    "all: {children: {switches: {hosts: {leaf1: {ansible_connection: refusing}}}, rack.7: {}}}\n"
)


Play = Callable[..., Ran]


@pytest.fixture
def play(ansible_playbook: Play, tmp_path: Path) -> Play:
    """Run ansible-playbook over an inventory of this text; with variables of the environment."""

    def run(inventory: str, *words: str, **environ: str) -> Ran:
        (tmp_path / "hosts.yml").write_text(inventory)
        return ansible_playbook("-i", str(tmp_path / "hosts.yml"), *words, environ=environ)

    return run


@pytest.fixture
def refused(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Begin the first play of a playbook as Ansible does; with what text the callback ends it."""
    module = script("plugins/callback/cairn_no_hosts.py")

    def begin(path: Path, known: Any = None, **options: Any) -> str:
        monkeypatch.setattr(context, "CLIARGS", options)
        said: list[str] = []
        callback = module.CallbackModule()
        callback._display = SimpleNamespace(error=lambda text, wrap_text: said.append(text))
        with contextlib.suppress(SystemExit):
            callback.v2_playbook_on_start(SimpleNamespace(_file_name=str(path)))
            pattern = first_hosts(path)
            manager = SimpleNamespace(_inventory=known)
            if known:
                callback.v2_playbook_on_play_start(
                    SimpleNamespace(hosts=[pattern], get_variable_manager=lambda: manager)
                )
            if isinstance(known, InventoryManager) and not known.get_hosts(pattern):
                callback.v2_playbook_on_no_hosts_matched()
        return " ".join(said)

    return begin


def first_hosts(path: Path) -> str:
    """The hosts of a playbook's first play, which may stand in another."""
    first = yaml.safe_load(path.read_text())[0]
    if imported := first.get("ansible.builtin.import_playbook"):
        return first_hosts(path.parent / imported)
    return str(first["hosts"])


# --- every playbook, by what the callback says of it; Ansible itself runs below -------------------


@pytest.mark.parametrize("name", ENTRIES)
def test_every_playbook_fails_on_an_inventory_without_hosts_for_it(
    name: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    known = InventoryManager(DataLoader(), sources=[str(tmp_path / "hosts.yml")])
    text = refused(ROOT / "playbooks" / name, known, inventory=["here"])
    assert text.startswith(f"{name}: nothing was done: here has no host in the group")


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize(("option", "key"), [("--tags", "tags"), ("--skip-tags", "skip_tags")])
def test_tags_are_refused_by_every_playbook(
    name: str, option: str, key: str, refused: Callable[..., str]
) -> None:
    text = refused(ROOT / "playbooks" / name, **{key: ["nova"]})
    said = f"{name}: nothing was done: Cairn's tasks have no tags, so {option} nova would not"
    assert text.startswith(said)


@pytest.mark.parametrize("strategy", ["free", "ansible.builtin.host_pinned"])
def test_no_strategy_in_which_hosts_do_not_wait_for_one_another(
    strategy: str, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(C, "DEFAULT_STRATEGY", strategy)
    text = refused(ROOT / "playbooks/site.yml")
    assert text.startswith(f"site.yml: nothing was done: the strategy {strategy} is set")
    (tmp_path / "p.yml").write_text("- {hosts: switches}\n")
    assert refused(tmp_path / "p.yml") == ""


def of_groups(*names: str) -> Any:
    """An inventory of these groups, without hosts."""
    return SimpleNamespace(groups=dict.fromkeys(names), hosts={}, _loader=DataLoader())


BROKEN = {
    "group_vars/all/twice.yml": ("x:\n  b: 1\n  b: 2\n", ":3:3: Found duplicate mapping key 'b'."),
    "group_vars/rack.7": ("x: &a [*b]\n", ":1:8: "),
    "host_vars/leaf1": ("x: [1\ny: 2\n", ":2:2: While parsing a flow sequence did not find"),
}


def test_files_that_are_no_yaml_are_named_with_their_lines(
    tmp_path: Path, refused: Callable[..., str], play: Play
) -> None:
    for name, (text, _) in BROKEN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("group_vars/all/.twice.yml.swp", "group_vars/README", "host_vars/removed.yml"):
        (tmp_path / name).write_text("see: [a: b")
    ran = play(HOSTS, str(ROOT / "playbooks/preflight.yml"))
    assert ran.returncode == 1
    known = InventoryManager(DataLoader(), sources=[str(tmp_path / "hosts.yml")])
    said = ran.stdout + ran.stderr
    said += refused(ROOT / "playbooks/site.yml", known, inventory=[str(tmp_path)])
    assert said.count("nothing was done: correct these files") == 2
    for name, (_, problem) in BROKEN.items():
        assert said.count(f"{tmp_path / name}{problem}") == 2, said
    with pytest.raises(AnsibleParserError, match=r"twice.yml:3:3: Found duplicate .*; .*leaf1:2:2"):
        Inventory(tmp_path)


def test_a_vault_that_does_not_open_hides_no_broken_file(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    """It may be a host's outside this run; if it is needed, Ansible itself names it."""
    folder = tmp_path / "group_vars/all"
    folder.mkdir(parents=True)
    (folder / "a.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    (tmp_path / "hosts.yml").write_text(HOSTS.replace("switches", "controller"))
    known = InventoryManager(DataLoader(), sources=[str(tmp_path / "hosts.yml")])
    assert refused(ROOT / "playbooks/site.yml", known, inventory=[str(tmp_path)]) == ""
    (folder / "b.yml").write_text("x: [1\ny: 2\n")
    text = refused(ROOT / "playbooks/site.yml", known, inventory=[str(tmp_path)])
    assert f"{folder}/b.yml:2:2" in text and "a.yml" not in text


@pytest.mark.parametrize("name", ENTRIES)
def test_no_playbook_starts_at_a_later_task(name: str, refused: Callable[..., str]) -> None:
    text = refused(ROOT / "playbooks" / name, start_at_task="Switch nova")
    assert text.startswith(f"{name}: nothing was done: --start-at-task leaves out the tasks")


def groups_of_a_run() -> Iterator[str]:
    """The groups that playbooks, roles and actions add hosts to."""
    places = [p for folder in ("playbooks", "roles") for p in (ROOT / folder).rglob("*.yml")]
    for path in places:
        text = path.read_text()
        yield from re.findall(r"add_host:\n(?:.*\n)*?\s+groups: \[?(\w+)", text)
        for key in re.findall(r"group_by:\n\s+key: (.*)", text):
            yield from re.findall(
                r"'(\w{4,})'", key.partition(" if ")[0] + key[key.find(" else ") :]
            )
            if head := re.match(r"\w+_(?=\{\{)", key):
                yield from (f"{head[0]}{end}" for end in ("yes", "no"))
    for path in (ROOT / "plugins/action").glob("*.py"):
        text = path.read_text()
        for words in re.findall(r"add_group\(f?\"([^\"]+)\"", text):
            yield words.replace("{role}", "nova")
        yield from re.findall(r"parent_group_names=\[\"(?!all\")(\w+)\"", text)


def test_an_inventory_has_no_group_of_a_run(refused: Callable[..., str], tmp_path: Path) -> None:
    """A site's own group `deployed` would make a new cloud one that others rely on."""
    made = {*groups_of_a_run(), "nobody"}
    assert {"deployed", "stale", "stale_nova", "stale_network", "renew_yes", "verify_host"} <= made
    assert {"rollback_no", "swift_in_use", "swift_not_in_use"} <= made
    for name in sorted(made):
        known = of_groups(name, "controller")
        text = refused(ROOT / "playbooks/site.yml", known)
        assert text.startswith(f"site.yml: nothing was done: the inventory has the group {name},")
    own = of_groups("stale-racks", "undeployed", "controller")
    assert refused(ROOT / "playbooks/site.yml", own) == ""
    (tmp_path / "p.yml").write_text("- {hosts: switches}\n")
    assert refused(tmp_path / "p.yml", of_groups("deployed")) == ""


def test_groups_that_an_earlier_playbook_of_the_command_made_are_no_mistake(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "CLIARGS", {})
    callback = script("plugins/callback/cairn_no_hosts.py").CallbackModule()
    known = of_groups("controller")
    manager = SimpleNamespace(_inventory=known)
    for name in ("site.yml", "preflight.yml"):
        path = str(ROOT / "playbooks" / name)
        callback.v2_playbook_on_start(SimpleNamespace(_file_name=path))
        callback.v2_playbook_on_play_start(SimpleNamespace(get_variable_manager=lambda: manager))
        known.groups["deployed"] = None


def test_molecules_own_tags_are_no_choice() -> None:
    site = ROOT / "playbooks/site.yml"
    assert refused_tags(site, ["all"], ["notest", "molecule-idempotence-notest"]) == ""
    assert "--skip-tags nova" in refused_tags(site, ["all"], ["notest", "nova"])


# --- Ansible's own runs --------------------------------------------------------------------------


def test_a_run_for_nobody_ends_without_a_summary(play: Play, tmp_path: Path) -> None:
    done = play(HOSTS, "playbooks/preflight.yml")
    assert done.returncode == 1, done.stdout
    why = f"nothing was done: {tmp_path}/hosts.yml has no host in the groups controller, "
    assert f"preflight.yml: {why}" in done.stderr
    assert "SUMMARY" not in done.stdout


def test_callbacks_of_the_operators_own_do_not_take_the_place_of_this_one(play: Play) -> None:
    """Here it says that a proof needs an operator."""
    inventory = "controller: {hosts: {c1: }}\n"
    own = {"ANSIBLE_CALLBACKS_ENABLED": "oneline", "ANSIBLE_STDOUT_CALLBACK": "default"}
    done = play(inventory, "playbooks/verify.yml", **own)
    assert done.returncode == 1
    assert "in the group operator; add the group operator with the control node" in done.stderr
    assert (ROOT / "inventories/example/group_vars/operator.yml").exists()


def test_a_limit_that_leaves_nobody(play: Play) -> None:
    inventory = "controller: {hosts: {c1: }}\ncompute: {hosts: {n1: }}\n"
    done = play(inventory, "playbooks/rotate-keys.yml", "--limit", "n1")
    assert done.returncode == 1
    said = "it is for the group controller, and --limit n1 leaves none of their hosts (c1); name"
    assert said in done.stderr


@pytest.mark.parametrize(
    ("words", "environ", "why"),
    [
        (["--tags", "nova"], {}, "Cairn's tasks have no tags, so --tags nova would not"),
        (["--skip-tags", "nova"], {}, "Cairn's tasks have no tags, so --skip-tags nova would not"),
        ([], {"ANSIBLE_STRATEGY": "free"}, "the strategy free is set"),
    ],
)
def test_what_would_change_the_order_or_the_choice_of_tasks_ends_a_run(
    words: list[str], environ: dict[str, str], why: str, play: Play
) -> None:
    inventory = "controller: {hosts: {c1: {ansible_connection: refusing}}}\n"
    done = play(inventory, "playbooks/rotate-keys.yml", *words, **environ)
    assert done.returncode == 1, done.stdout
    assert f"rotate-keys.yml: nothing was done: {why}" in done.stderr


def test_a_playbook_of_the_sites_own_may_have_them_and_later_plays_for_nobody(
    play: Play, tmp_path: Path
) -> None:
    (tmp_path / "p.yml").write_text(
        "- {hosts: switches, gather_facts: false}\n- {hosts: stale_nova, gather_facts: false}\n"
    )
    done = play(HOSTS, str(tmp_path / "p.yml"), "--tags", "x", ANSIBLE_STRATEGY="free")
    assert done.returncode == 0, done.stderr


def test_plays_name_the_managed_hosts_by_cairns_groups() -> None:
    """The groups of planes.GROUPS are what Cairn manages; other hosts are never touched."""
    paths = [
        *(ROOT / "playbooks").glob("*.yml"),
        *(ROOT / "playbooks/internal").glob("*.yml"),
        *(ROOT / "molecule").glob("*/converge.yml"),
    ]
    patterns = {
        play["hosts"]: path.name
        for path in paths
        for play in yaml.safe_load(path.read_text())
        if "hosts" in play
    }
    assert ":".join(GROUPS) in patterns
    wide = [p for p in patterns if {"all", "*", "ungrouped"} & set(p.replace("!", ":").split(":"))]
    assert wide == []
