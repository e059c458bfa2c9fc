"""No test holds the time, a port, a process or a temporary name of the moment it was collected.

The suite runs for many minutes after that, and the names may be another's by then.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

MOMENT = re.compile(
    r"(?:time\.(?:time|time_ns|monotonic|localtime|gmtime|strftime)"
    r"|(?:datetime\.)?(?:datetime|date)\.(?:now|utcnow|today)"
    r"|random\.\w+|secrets\.token_\w+|uuid\.uuid[14]|os\.(?:getpid|urandom)"
    r"|tempfile\.\w+|socket\.(?:socket|create_server))"
)
MAIN = "if __name__ == '__main__':"
LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that are made when a statement runs; not those of functions that it defines."""
    if isinstance(node, ast.Call):
        yield node
    inner = ast.iter_child_nodes(node)
    if isinstance(node, LATER):
        decorators = getattr(node, "decorator_list", [])
        inner = iter([*decorators, *node.args.defaults, *filter(None, node.args.kw_defaults)])
    for child in inner:
        yield from calls(child)


def taken_at_collection(text: str) -> list[str]:
    """Calls of a test file that ask for the moment while it is imported."""
    tree = ast.parse(text)
    functions = {node.name: node for node in tree.body if isinstance(node, LATER[:2])}

    def asks(call: ast.Call, seen: frozenset[str] = frozenset()) -> bool:
        name = ast.unparse(call.func)
        if MOMENT.fullmatch(name):
            return True
        if name not in functions or name in seen:
            return False
        body = (inner for line in functions[name].body for inner in calls(line))
        return any(asks(inner, seen | {name}) for inner in body)

    imported = [line for line in tree.body if not ast.unparse(line).startswith(MAIN)]
    return [f"{c.lineno}: {ast.unparse(c)}" for line in imported for c in calls(line) if asks(c)]


def test_nothing_is_taken_at_collection(root: Path) -> None:
    found, searched = {}, 0
    # Tests in the lab take numbers there that no earlier run had.
    for path in [*sorted((root / "tests/unit").rglob("*.py")), root / "tests/conftest.py"]:
        text = path.read_text()
        if MOMENT.search(text):
            searched += 1
            if taken := taken_at_collection(text):
                found[path.relative_to(root).as_posix()] = taken
    assert found == {}
    assert searched > 10


def test_what_is_taken_at_collection_is_seen() -> None:
    text = """
def ago(seconds): return service(time.time() - seconds)
def service(when): return {"updated_at": when}
NOW = datetime.datetime.now(datetime.UTC)
LATER = lambda: time.time()
@pytest.mark.parametrize("worker", [ago(60), service(5)])
def test_it(worker, port=random.randint(1, 9)):
    time.time()
class Case:
    folder = tempfile.mkdtemp()
"""
    assert [found.partition(":")[0] for found in taken_at_collection(text)] == ["4", "6", "7", "10"]
