"""The reference pages against the code: signatures, names that are promised, commands and their options."""

from __future__ import annotations

import builtins
import inspect
import re
import shlex
from pathlib import Path

import pytest
import typer.main

import cumulant as cm
import cumulant.errors
from cumulant import cli, notebook, sklearn, theory
from cumulant.theory import GaussianAction, symbolic

DOCS = Path(__file__).parents[1] / "docs"
API = (DOCS / "api.md").read_text(encoding="utf-8")
CLI = (DOCS / "cli.md").read_text(encoding="utf-8")
OWNERS = {
    "cm": cm,
    "m": cm.Moments,
    "model": cm.Model,
    "action": GaussianAction,
    "theory": theory,
    "symbolic": symbolic,
    "notebook": notebook,
}
BLOCKS = re.findall(r"^```python\n(.*?)^```", API, re.MULTILINE | re.DOTALL)
CALLS = [call for block in BLOCKS for call in re.findall(r"^(\w+)\.(\w+)(\([^()]*\))", block, re.MULTILINE)]
COMMANDS = typer.main.get_command(cli.app).commands


def parameters(signature: inspect.Signature) -> list[tuple[str, object, object]]:
    return [(p.name, p.kind, p.default) for p in signature.parameters.values() if p.name != "self"]


def written(arguments: str) -> inspect.Signature:
    """The signature that a page shows."""
    scope: dict[str, object] = {}
    exec(f"def shown{arguments}: pass", scope)
    return inspect.signature(scope["shown"])


def test_there_are_signatures_to_check():
    assert len(CALLS) > 30
    assert sum(block.count("\n") for block in BLOCKS) >= len(CALLS)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: ".".join(call[:2]))
def test_signatures_are_those_of_the_code(call):
    owner, name, arguments = call
    assert parameters(written(arguments)) == parameters(inspect.signature(getattr(OWNERS[owner], name)))


def test_every_method_of_a_model_and_of_an_action_is_shown():
    for owner, kind in (("model", cm.Model), ("action", GaussianAction)):
        public = {name for name, value in vars(kind).items() if not name.startswith("_") and callable(value)}
        assert public == {name for prefix, name, _ in CALLS if prefix == owner}


def test_attributes_that_the_page_names_exist():
    for owner, kind in (("m", cm.Moments), ("model", cm.Model)):
        for name in re.findall(rf"`{owner}\.(\w+)", API):
            assert hasattr(kind, name) or name in kind.__dataclass_fields__, f"{owner}.{name}"


def test_every_estimator_and_error_is_named():
    errors = [name for name in cumulant.errors.__all__ if name not in ("CumulantError", "CumulantWarning")]
    for name in (*sklearn.__all__, *errors):
        assert f"| `{name}` |" in API, name


def test_errors_are_also_the_built_in_that_the_page_says():
    for name, builtin in re.findall(r"^\| `(\w+Error)` \| `(\w+)` \|", API, re.MULTILINE):
        assert issubclass(getattr(cumulant.errors, name), getattr(builtins, builtin)), name


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", CLI, re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section '## {title}'"
    return found[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_on_the_page(name):
    text, shared = section(f"cumulant {name}"), section("Options for reading a table")
    commands = [COMMANDS[name], *getattr(COMMANDS[name], "commands", {}).values()]
    for parameter in (p for command in commands for p in command.params):
        if parameter.param_type_name == "option":
            long = max(parameter.opts, key=len)
            assert f"`{long}" in text + shared, f"cumulant {name} {long}"


def test_the_page_shows_no_command_or_option_that_does_not_exist():
    headings = re.findall(r"^## cumulant (\w+)$", CLI, re.MULTILINE)
    assert set(headings) == set(COMMANDS)
    nested = [c for group in COMMANDS.values() for c in getattr(group, "commands", {}).values()]
    known = {option for c in [*COMMANDS.values(), *nested] for p in c.params for option in (*p.opts, *p.secondary_opts)}
    known |= {"--help", "--version", "--traceback", "--install-completion", "--show-completion"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", CLI)) <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_on_the_page_can_be_parsed(name):
    for line in re.findall(rf"^    cumulant {name}\b(.*)$", section(f"cumulant {name}"), re.MULTILINE):
        words = shlex.split(line.split("|")[0].split(">")[0], comments=True)
        COMMANDS[name].make_context(name, words, resilient_parsing=False)
