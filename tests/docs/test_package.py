"""What is shipped: licences, type marks and what the package says of itself."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions

from spectui import __version__
from tests.docs.pages import PAGES, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "spectui" / "py.typed").read_text() == ""
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_every_python_that_is_supported_has_its_classifier() -> None:
    import bootstrap

    said = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert said == [f"{major}.{minor}" for major, minor in bootstrap.SUPPORTED]


def test_the_licence_is_the_one_that_the_project_names() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_notice_names_what_is_shipped_beside_code() -> None:
    notice = (ROOT / "NOTICE").read_text()
    named = re.findall(r"(?:demos|spectui)/[\w./]+", notice.replace("spectui/drafters", ""))
    assert {"demos/drafters/weights", "spectui/core/prompts/builtin.jsonl"} <= set(named)
    assert not [path for path in named if not (ROOT / path.rstrip(".")).exists()]


def test_the_changes_end_with_this_version() -> None:
    latest = re.search(r"^## (\S+)", PAGES["CHANGELOG.md"], re.M)
    assert latest is not None
    assert latest[1] == __version__


def test_what_is_required_is_imported() -> None:
    modules: dict[str, list[str]] = {}
    for module, names in packages_distributions().items():
        for name in names:
            modules.setdefault(name.lower().replace("_", "-"), []).append(module)
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "spectui").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", code, re.M))
    imported |= set(re.findall(r'import_module\("(\w+)', code))
    for requirement in PROJECT["dependencies"]:
        name = re.match(r"[\w-]+", requirement)
        assert name is not None
        assert imported & set(modules[name[0].lower()]), f"{name[0]} is required and never imported"
