"""Variable precedence: the layers of the inventory that set a host's variables.

Control node only. Ansible keeps only the strongest value of a variable; this module also finds the
others, to merge dictionaries of overrides, and to name the file in force. Nothing is read a second
time: Ansible keeps inventory and files in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible import constants as C  # noqa: N812
from ansible._internal._datatag._tags import Origin
from ansible.inventory.helpers import sort_groups
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path

from ..errors import DescriptionError
from . import renamed
from .inventory_files import typed, variable_file


class Layer(NamedTuple):
    """The variables of one group or host, `name`.

    For a folder of files, `values` is their combination by Ansible; `files` reads them one by one.
    """

    name: str
    values: Mapping[str, Any]
    files: Callable[[], Sequence[Mapping[str, Any]]] = tuple

    def values_of(self, variable: str) -> list[Any]:
        """The values of a variable, weakest first; several if several files set it."""
        if variable not in self.values:
            return []
        names = renamed.names_of(variable)
        found = [content[n] for content in self.files() for n in names if n in content]
        last = self.values[variable]
        return found if found and found[-1] == last else [*found, last]

    def names(self) -> set[str]:
        """Names of variables as written there; see renamed.py."""
        parts = [self.values] if self.files is tuple else self.files()
        return {name for part in parts for name in renamed.stated(part)}


def groups_of(hostvars: Any, host: str) -> list[str]:
    """The groups of a host without `all`, in Ansible's precedence: the last one wins."""
    inventory = getattr(hostvars, "_inventory", None)
    if inventory is None:  # plain data
        return sorted(hostvars[host].get("group_names", []))
    found = inventory.get_host(host).get_groups()
    return [group.name for group in sort_groups(found) if group.name != "all"]


def layers(hostvars: Any, host: str) -> list[Layer]:
    """All layers of the inventory for a host, weakest first; [] for plain data.

    `hostvars` is Ansible's own variable. The order is that of VariableManager.get_vars, but nothing
    is merged.
    """
    inventory = getattr(hostvars, "_inventory", None)
    if inventory is None:
        return []
    loader, me = hostvars._loader, inventory.get_host(host)
    everyone = [inventory.groups["all"]]
    groups = sort_groups([g for g in me.get_groups() if g.name != "all"])

    def stated(entities: Sequence[Any]) -> Iterable[Layer]:
        return (Layer(e.name, e.get_vars()) for e in entities)

    def reading(folder: Path, kind: str, name: str) -> Callable[[], list[Mapping[str, Any]]]:
        def read() -> list[Mapping[str, Any]]:
            paths = loader.find_vars_files(str(folder / f"{kind}_vars"), name)
            contents = (
                loader.load_from_file(path, cache="all", unsafe=True, trusted_as_template=True)
                for path in paths
            )
            return [content for content in contents if isinstance(content, Mapping)]

        return read

    def kind(entity: Any) -> str:
        return "host" if entity is me else "group"

    def files(entities: Sequence[Any]) -> Iterable[Layer]:
        for source in inventory._sources:
            folder = Path(source) if Path(source).is_dir() else Path(source).parent
            for e in entities:
                values = get_vars_from_inventory_sources(loader, [source], [e], "task")
                yield Layer(e.name, values, reading(folder, kind(e), e.name))

    def beside_playbook(entities: Sequence[Any]) -> Iterable[Layer]:
        folder = Path(loader.get_basedir())
        for e in entities:
            values = get_vars_from_path(loader, str(folder), [e], "task")
            yield Layer(e.name, values, reading(folder, kind(e), e.name))

    readers: dict[str, tuple[Callable[[Sequence[Any]], Iterable[Layer]], Sequence[Any]]] = {
        "all_inventory": (stated, everyone),
        "groups_inventory": (stated, groups),
        "all_plugins_inventory": (files, everyone),
        "all_plugins_play": (beside_playbook, everyone),
        "groups_plugins_inventory": (files, groups),
        "groups_plugins_play": (beside_playbook, groups),
    }
    order = [readers[entry] for entry in C.VARIABLE_PRECEDENCE if entry in readers]
    order += [(stated, [me]), (files, [me]), (beside_playbook, [me])]
    return [layer for read, entities in order for layer in read(entities) if layer.values]


def stated_names(hostvars: Any, host: str, given: Iterable[str] = ()) -> set[str]:
    """Names of variables that inventory and command line (`given`) set for a host."""
    found = layers(hostvars, host)
    inventory = {name for layer in found for name in layer.names()}
    return {*given, *(inventory if found else hostvars[host])}


def overrides(
    variables: Mapping[str, Any],
    host: str,
    depths: Mapping[str, int],
    template: Callable[[Any], Any],
) -> dict[str, Any]:
    """The variables in `depths` that are set in several layers, merged.

    `variables` are the host's variables in a task, including `hostvars`.
    """
    found = layers(variables.get("hostvars"), host)
    merged = {}
    for name, depth in depths.items():
        values = values_of(name, found, variables.get(name))
        if len(values) > 1:
            merged[name] = merge(name, values, depth, template)
    return merged


def explained(variables: Mapping[str, Any], host: str, depths: Mapping[str, int]) -> str:
    """The origin of each option of a host's overrides, a line for each; "" without any."""
    found = layers(variables.get("hostvars"), host)
    lines = []
    for name, depth in sorted(depths.items()):
        options = origins(values_of(name, found, variables.get(name)), depth)
        if options and any(options):
            lines.append(f"{name} of {host}:")
            lines += [f"  {' '.join(path)} from {where}" for path, where in options.items() if path]
    return "\n".join(lines) + "\n" if lines else ""


def values_of(name: str, found: Iterable[Layer], final: Any = None) -> list[Any]:
    """Every value of a variable, weakest first.

    `final` is Ansible's final value; if it is not from the inventory (-e, set_fact), it is the
    strongest.
    """
    values = [value for layer in found for value in layer.values_of(name)]
    if final is not None and (not values or final != values[-1]):
        values.append(final)
    return values


def merge(name: str, values: Iterable[Any], depth: int, template: Callable[[Any], Any]) -> Any:
    """Merge dictionaries of overrides: the last value of each option, `depth` keys deep, wins.

    `template` renders a dictionary that is one Jinja expression. DescriptionError, with the file,
    for other values.
    """
    merged: dict[Any, Any] = {}
    for given in values:
        value = template(given) if isinstance(given, str) else given
        if value is None:
            continue
        if not isinstance(value, Mapping):
            where = origin(given)
            raise DescriptionError(
                f"{name} is {value!r}; it must be a mapping" + (f" ({where})" if where else "")
            )
        merged = _merged(merged, value, depth)
    return merged


def _merged(base: Mapping[Any, Any], over: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        deeper = depth > 1 and isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(old, value, depth - 1) if deeper else value  # type: ignore[arg-type]
    return result


def origins(values: Iterable[Any], depth: int) -> dict[tuple[str, ...], str]:
    """The file and line of the value in force of each option of dictionaries of overrides."""
    found: dict[tuple[str, ...], str] = {}

    def note(value: Any, path: tuple[str, ...], where: str) -> None:
        where = _place(value) or where
        if isinstance(value, Mapping) and len(path) < depth:
            for key, inner in value.items():
                note(inner, (*path, str(key)), _place(key) or where)
        else:
            found[path] = where

    for value in values:
        note(value, (), "the run itself")
    return found


def _place(value: Any) -> str:
    """File and line of a value, or another origin that Ansible knows, or ""."""
    tag = Origin.get_tag(value)
    if tag is None or not tag.path:
        return str(tag.description or "") if tag else ""
    return typed(Path(tag.path)) + (f":{tag.line_num}" if tag.line_num else "")


def rivals(hostvars: Any, host: str, variable: str) -> list[tuple[str, str]]:
    """Groups that set a host's variable differently, if only the alphabet decides which one wins.

    Each with its file, the one in force last; [] if depth, priority or the host itself decide.
    """
    found = [layer for layer in layers(hostvars, host) if variable in layer.values]
    groups = hostvars._inventory.groups if found else {}
    if not found or found[-1].name == "all" or found[-1].name not in groups:
        return []
    last = groups[found[-1].name]
    equal = {
        layer.name: layer.values[variable]
        for layer in found
        if layer.name in groups
        and (groups[layer.name].depth, groups[layer.name].priority) == (last.depth, last.priority)
    }
    if all(value == equal[last.name] for value in equal.values()):
        return []
    return [(name, origin(value)) for name, value in equal.items()]


def origin(value: Any) -> str:
    """The file of a value; "" if Ansible does not know it, as for true, false and null."""
    tag = Origin.get_tag(value)
    return typed(Path(tag.path)) if tag and tag.path else ""


def origin_of_error(error: BaseException) -> str:
    """The file and line of an error of Ansible's, or ""."""
    found = ""
    cause: BaseException | None = error
    while cause is not None:
        tag = Origin.get_tag(getattr(cause, "obj", None))
        if tag and tag.path:
            found = typed(Path(tag.path)) + (f":{tag.line_num}" if tag.line_num else "")
        cause = cause.__cause__  # the innermost is nearest to the value
    return found


def untemplated(hostvars: Any, host: str, variable: str) -> Any:
    """A variable of a host as written in the inventory, before templating."""
    variables = hostvars.raw_get(host) if hasattr(hostvars, "raw_get") else hostvars[host]
    return variables.get(variable)


def file_in_force(hostvars: Any, variable: str, host: str, *, certain: bool = False) -> str:
    """The inventory file with the value in force of a host's variable; "" if there is none.

    If nothing sets it, the answer is the file in which it should be set, unless `certain`.
    """
    if hasattr(hostvars, "raw_get"):
        known = origin(hostvars.raw_get(host).get(variable))
        if known:
            return known
    inventory = hostvars[host].get("inventory_dir")
    if not inventory:
        return ""
    groups = [*reversed(groups_of(hostvars, host))]
    return variable_file(Path(inventory), variable, host, groups, certain=certain)
