"""No import runs back up, and the tools only parse: the architecture of docs/architecture.md, kept true."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Rooms from the ground up; a module imports from its own floor or below. Rooms of one floor do not import each other,
# but for those in BESIDE.
FLOORS = (
    {"detect"},  # detect/__init__.py: the version, and the front door, which opens when asked
    {"backbones", "detect.utils"},
    {
        "detect.d2", "detect._d2_fallback", "detect.speed",
        "detect.config", "detect.config_checks", "detect.config_keys", "detect.config_node",
    },
    {"detect.video"},
    {"detect.data"},
    {"detect.evaluation", "detect.modeling", "detect.classification", "detect.visualization", "detect.engine"},
    {"detect.export", "detect.tracking"},
    {"detect.api"},
    {"detect.analysis", "detect.benchmarks", "detect.report"},
    {"detect.tasks"},
    {"tools"},
)
BESIDE = {
    ("detect.classification", "detect.modeling"),  # a classifier is a context network with its head
    ("detect.d2", "detect._d2_fallback"),
    ("detect.config", "detect.config_node"),
    ("detect.config", "detect.config_checks"),
    ("detect.config", "detect.config_keys"),
    ("detect.config_keys", "detect.config_checks"),
    ("detect.config_checks", "detect.config_node"),
    ("detect.config", "detect.d2"),
    ("detect.config_node", "detect.d2"),
}


def room(module: str) -> str:
    parts = module.split(".")
    if parts[0] != "detect":
        return parts[0]
    return "detect" if len(parts) == 1 else ".".join(parts[:2])


def imports():
    """(importing room, imported room, file) of every import of ours, the lazy ones inside functions included."""
    for path in sorted(path for folder in ("backbones", "detect", "tools") for path in (ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                found = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                found = found[1:] if node.module == "detect" else found[:1]
            elif isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            else:
                continue
            for module in found:
                if module.split(".")[0] in ("detect", "backbones", "tools"):
                    target = "detect" if module == "detect.__version__" else room(module)
                    yield room(name), target, path.relative_to(ROOT)


def test_imports_run_downwards():
    floor = {name: number for number, rooms in enumerate(FLOORS) for name in rooms}
    wrong = []
    for source, target, path in imports():
        lazy_front_door = source == "detect" and target == "detect.api"
        below = floor[target] < floor[source] or source == target or (source, target) in BESIDE
        if not (below or lazy_front_door):
            wrong.append(f"{path}: {source} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_backbones_stand_alone():
    assert {target for source, target, _ in imports() if source == "backbones"} <= {"backbones"}


def test_no_circle():
    """Between modules, not only rooms: removing modules without imports left must remove all."""
    graph: dict[str, set[str]] = {}
    for path in (ROOT / "detect").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("detect"):
                graph[name].add(node.module)
                graph[name] |= {f"{node.module}.{alias.name}" for alias in node.names}
    for name, targets in graph.items():  # a module inside a package does not wait for the package
        graph[name] = {t for t in targets if t in graph and t != name and not name.startswith(f"{t}.")}
    while leaves := [name for name, targets in graph.items() if not targets]:
        for name in leaves:
            del graph[name]
        for targets in graph.values():
            targets.difference_update(leaves)
    assert not graph, graph


def test_tools_hold_argument_parsing_and_nothing_else():
    """Their functions are build_parser, main and converters of arguments; no numpy, torch or files."""
    for path in (ROOT / "tools").glob("*.py"):
        tree = ast.parse(path.read_text())
        names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        assert names <= {"build_parser", "main", "run"} and {"build_parser", "main"} <= names, path
        assert len(path.read_text().splitlines()) <= 90, path
