"""Every package imports only what lies below it, so that each can be read, and changed, without those above."""

import ast
from pathlib import Path

import pytest

import dualfocus

ROOT = Path(dualfocus.__file__).parent
# Lower ones first; those of one line know nothing of one another. docs/code.md says what each is for.
LAYERS = (
    (
        "atomic",
        "child_process",
        "extras",
        "markdown",
        "messages",
        "metrics",
        "optics",
        "pixels",
        "remedies",
        "result_mark",
        "srgb",
        "stack",
    ),
    ("derived", "models", "planning"),
    ("losses", "ordering", "outputs"),
    ("calibration", "readers"),
    ("alignment", "rendering"),
    ("datasets", "inference"),
    ("training",),
    ("baselines",),
    ("loading",),
    ("pipeline", "benchmarks"),
    ("analysis", "app", "batch"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
ANYWHERE = {"__version__"}  # and the public names, for whoever uses the package as its users do


def parts():
    found = {path.stem if path.is_file() else path.name for path in ROOT.iterdir() if path.suffix in ("", ".py")}
    return found - {"__init__", "__pycache__", "samples", "weights"}  # files alone


def imports(path):
    """First parts below the package of all that a file imports, wherever in it, but for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    left_out = {id(inner) for node in types for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("dualfocus."))


def test_every_part_has_its_place():
    assert parts() == set(HEIGHT)


@pytest.mark.parametrize("name", sorted(HEIGHT))
def test_a_part_imports_only_what_lies_below_it(name):
    files = (ROOT / name).rglob("*.py") if (ROOT / name).is_dir() else [ROOT / f"{name}.py"]
    for path in files:
        for other in set(imports(path)) - {name} - ANYWHERE:
            assert HEIGHT[other] < HEIGHT[name], f"{path.relative_to(ROOT)} imports {other}, which is not below {name}"


def test_the_page_of_the_code_has_them_all():
    page = (Path(__file__).parents[1] / "docs" / "code.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = [part for row in rows for part in row.replace("`", "").replace(",", " ").split()]
    places = {part: place for place, part in enumerate(named) if part in HEIGHT}
    assert set(places) == set(HEIGHT) - {"__main__"}
    ordered = sorted(places, key=places.get)
    assert [HEIGHT[part] for part in ordered] == sorted(HEIGHT[part] for part in ordered)
