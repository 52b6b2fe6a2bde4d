"""The package as a whole: its public names, what importing it costs, who imports whom, and its error tree."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mcdrop
from mcdrop import errors

PACKAGE = Path(mcdrop.__file__).parent

PUBLIC = [
    "ClassificationPredictive",
    "ClusterError",
    "ConvergenceWarning",
    "DataError",
    "DependencyError",
    "ExecutionError",
    "InputError",
    "MCDropout",
    "McdropError",
    "NetError",
    "NoDropoutError",
    "OutputError",
    "RegressionPredictive",
    "RowMaskWarning",
    "SilentDropoutWarning",
    "TrainingError",
    "UncountedDrawsWarning",
    "UnsettledRowsWarning",
    "baselines",
    "compare",
    "datasets",
    "distributed",
    "layers",
    "lightning",
    "load",
    "models",
    "networks",
    "plots",
    "precision",
    "predict_file",
    "scores",
    "sklearn",
    "sources",
    "training",
]

LAYERS = [
    {"errors"},  # anyone may raise them
    {"alerts", "progress", "arguments", "rng", "files", "containers"},
    {"strata", "sealed"},
    {"fused", "masks", "programs"},  # below the rest of their line: `sites` stands on both
    {
        "sites",
        "moments",
        "measures",
        "scores",
        "precision",
        "datasets",
        "inputs",
        "sources",
        "outputs",
        "storage",
        "supervised",
        "weights",
    },
    {"execution", "networks", "layers", "predictive", "models"},
    {"prepared"},
    {"sampler", "baselines", "training"},
    {"bulk", "comparison", "loading"},
    {"plots", "distributed", "sklearn", "lightning"},
    {"demos"},
    {"cli"},
    {"__init__", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

HEAVY = {
    "pymc",
    "pytensor",
    "arviz",
    "matplotlib",
    "scipy",
    "h5py",
    "rich",
    "pandas",
    "xarray",
    "gpytorch",
    "typer",
    "sklearn",
    "lightning",
    "ray",
    "pyarrow",
    "PIL",
}


def files():
    return sorted(PACKAGE.rglob("*.py"))


def part(path):
    """Return the name of a file's part of the package: its first folder, or its own stem."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_parts(tree):
    """Return the parts of mcdrop that a file imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "mcdrop":
                yield from (alias.name for alias in node.names)
            elif node.module and node.module.startswith("mcdrop."):
                yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mcdrop."))


def test_public_names_are_pinned():
    assert mcdrop.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(mcdrop, name) is not None


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'mcdrop' has no attribute 'nothing'"):
        mcdrop.nothing  # noqa: B018


def test_importing_the_package_and_predicting_loads_torch_and_numpy_only():
    code = (
        "import sys, mcdrop, torch\n"
        "net = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Dropout(0.5))\n"
        "pred = mcdrop.MCDropout(net).predict(torch.ones(3, 1), passes=2)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"mcdrop", "torch", "numpy"} <= loaded
    assert not HEAVY & loaded
    assert done.stderr == ""


def test_every_part_has_a_layer():
    assert {part(path) for path in files()} <= set(LEVEL)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards_only(path):
    here = part(path)
    for other in imported_parts(ast.parse(path.read_text())):
        if other == here or other not in LEVEL:  # a name of the package itself
            assert other == here
            continue
        assert LEVEL[other] < LEVEL[here], f"{here} must not import {other}"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_and_what_it_offers(path):
    tree = ast.parse(path.read_text())
    assert (ast.get_docstring(tree) or "").split("\n")[0].endswith((".", ":"))
    if path.name == "__main__.py":
        return
    lists = [
        node for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    assert len(lists) == 1
    names = ast.literal_eval(lists[0].value)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_library_does_not_talk(path):
    """Only the command line prints."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {func.id for func in calls if isinstance(func, ast.Name)}
    assert "print" not in names or part(path) == "cli"


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error") and name != "McdropError"])
def test_every_error_is_of_the_tree_and_a_builtin_too(name):
    error = getattr(errors, name)
    assert issubclass(error, mcdrop.McdropError)
    assert any(base.__module__ == "builtins" and base is not Exception for base in error.__mro__[:-3])


def test_the_warning_is_a_user_warning():
    assert issubclass(mcdrop.SilentDropoutWarning, UserWarning)
