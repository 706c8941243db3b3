from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import time
import warnings
from pathlib import Path

import pytest
import typer.main

import cumulant
from commandline import Cli, command, environment, houses, run
from cumulant.cli import app, main, terminal
from cumulant.errors import CumulantWarning, DataError

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


def test_every_command_is_there() -> None:
    wanted = {"fit", "predict", "inspect", "sample", "impute", "merge", "forget", "compare", "report", "demo"}
    assert wanted <= set(COMMANDS)


def test_the_version(cli: Cli) -> None:
    assert cli("--version").ok().out == f"cumulant {cumulant.__version__}\n"


def test_without_a_command_it_shows_its_help(cli: Cli) -> None:
    answer = cli()
    assert answer.status in (0, 2)  # the parser's own choice, which changed with its versions
    assert "predict" in answer.out + answer.err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_whose_options_exist(cli: Cli, name: str) -> None:
    group = typer.main.get_command(app)
    one = group.commands[name]  # type: ignore[attr-defined]
    assert "Examples" in cli(name, "--help").ok().out
    commands = [one, *getattr(one, "commands", {}).values()]
    parameters = [parameter for command in commands for parameter in command.params]
    known = {word for parameter in parameters for word in [*parameter.opts, *parameter.secondary_opts]}
    lines = re.findall(r"\[cyan\](.*?)\[/cyan\]", one.epilog)
    assert lines
    for line in lines:
        words = shlex.split(line)
        words = words[words.index("cumulant") :]
        assert words[:2] == ["cumulant", name]
        end = next((i for i, word in enumerate(words) if word in "|<>"), len(words))
        used = {word for word in words[2:end] if word.startswith("-") and word != "-"}
        assert used <= known, line
        assert one.help


def test_a_mistyped_command_or_option_is_a_misuse_in_one_line(cli: Cli) -> None:
    assert "fit" in cli("fitt").refusal(2)
    assert "--target" in cli("fit", "x.csv", "--targt", "y").refusal(2)
    assert "'--folds'" in cli("fit", "x.csv", "--folds", "many").refusal(2)
    assert "cumulant predict --help" in cli("predict").refusal(2)


def test_python_m_cumulant_is_the_program() -> None:
    assert run("--version").ok().out == f"cumulant {cumulant.__version__}\n"


def test_a_shell_is_told_how_to_complete() -> None:
    answer = run("--show-completion", "bash", env=environment(_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"))
    assert "_CUMULANT_COMPLETE" in answer.ok().out


def test_help_loads_nothing_that_only_some_commands_need() -> None:
    show = (
        "import sys; from cumulant.cli import main; status = main(['--help']);"
        "print(*sys.modules, file=sys.stderr); sys.exit(status)"
    )
    words = [*command()[:1], "-c", show]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment())
    slow = {"pandas", "scipy.stats", "pyarrow.parquet", "pyarrow.dataset", "cumulant.explain.ledger", "matplotlib"}
    assert slow & set(done.stderr.split()) == set()


# ------------------------------------------------------------------ errors and notes


def test_an_error_is_one_line_and_its_traceback_is_shown_on_demand(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "nowhere.csv"
    line = cli("fit", missing, "-o", tmp_path / "m.cumulant").refusal()
    assert "nowhere.csv" in line
    with pytest.raises(cumulant.CumulantError):
        main(["--traceback", "fit", str(missing), "-o", str(tmp_path / "m.cumulant")])
    monkeypatch.setenv("CUMULANT_TRACEBACK", "1")
    with pytest.raises(cumulant.CumulantError):
        main(["fit", str(missing), "-o", str(tmp_path / "m.cumulant")])


def test_a_mistake_of_the_program_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*words: object, **settings: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("cumulant.model.load", broken)
    with pytest.raises(ZeroDivisionError):
        main(["inspect", str(tmp_path / "m.cumulant")])


def test_a_message_of_several_lines_is_told_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.tell("error", str(DataError("first\n  second")), "")
    assert capsys.readouterr().err == "error: first second\n"


def test_markup_in_a_message_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.tell("error", "column '[bold]' and [/]", "")
    assert capsys.readouterr().err == "error: column '[bold]' and [/]\n"


def test_warnings_become_notes_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.notes_on_stderr():
        for _ in range(3):
            warnings.warn("levels= was\n low", CumulantWarning, stacklevel=1)
    assert capsys.readouterr().err == "note: --levels was low\n"


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("fill the cell, or measure with missing=\"integrate\" or \"drop\"", "measure with --missing integrate or"),
        ("Say which encoding it has: open_table(…, encoding='cp1252')", "it has: --encoding cp1252"),
        ("count it as missing with open_table(…, nulls=['?'])", "missing with --null '?'"),
        ("open_table(…, types={'a b': 'string'})", "--type 'a b=string'"),
        ("use fewer folds=", "use fewer --folds"),
        ("measure with folds=10, or", "with --folds 10, or"),
        ("fit with prior=None", "fit with --prior none"),
        ("leave it out with columns=[…]", "out with --columns"),
        ("weight_kind= is wrong", "--weight-kind is wrong"),
        ("y=3 and subfolds=2 stay", "y=3 and subfolds=2 stay"),
    ],
)  # fmt: skip
def test_remedies_are_told_in_options(python: str, words: str) -> None:
    assert words in terminal.in_options(python)


def test_an_option_that_a_remedy_names_exists() -> None:
    known = {word for one in typer.main.get_command(app).commands.values() for p in one.params for word in p.opts}  # type: ignore[attr-defined]
    arguments = terminal._ARGUMENT.pattern.split("(")[1].split(")")[0].split("|")
    spelled = {terminal.in_options(f"{name}= ").strip() for name in arguments}
    assert spelled <= known


# ------------------------------------------------------------------ pipes, terminals, interruption


@pytest.fixture
def model(tmp_path: Path) -> Path:
    houses().to_csv(tmp_path / "houses.csv", index=False)
    assert main(["fit", str(tmp_path / "houses.csv"), "-o", str(tmp_path / "m.cumulant"), "--target", "price"]) == 0
    return tmp_path / "m.cumulant"


def test_a_pipe_gets_plain_text(model: Path) -> None:
    answer = run("inspect", model).ok()
    assert "\x1b" not in answer.out + answer.err
    assert "price" in answer.out
    assert answer.err == ""
    refused = run("inspect", model.with_name("other"))
    assert "\x1b" not in refused.err


def test_long_names_are_not_cut_in_a_pipe(cli: Cli, tmp_path: Path) -> None:
    name = "a_name_" * 30
    houses().rename(columns={"rooms": name}).to_csv(tmp_path / "long.csv", index=False)
    cli("fit", tmp_path / "long.csv", "-o", tmp_path / "m", "--target", "price").ok()
    assert sum(name in line for line in cli("inspect", tmp_path / "m").ok().out.splitlines()) == 2


def test_a_terminal_gets_colour(model: Path) -> None:
    assert b"\x1b[1m" in on_a_terminal("inspect", model)


def test_a_terminal_gets_an_answer_in_lines_and_a_pipe_the_same_as_csv(model: Path) -> None:
    words = ("predict", model, "--given", "rooms=4", "--target", "town", "--target", "garden")
    head, cells = run(*words).ok().out.splitlines()
    town, garden = cells.split(",")
    assert head == "town,garden"
    lines = re.sub(rb"\x1b\[[0-9;]*m", b"", on_a_terminal(*words)).decode().split()
    assert lines == ["town", town, "garden", f"{float(garden):.6g}"]


def on_a_terminal(*words: object) -> bytes:
    """What the program shows on a terminal."""
    controller, terminal_end = pty.openpty()
    with subprocess.Popen(
        command(*words), stdout=terminal_end, stderr=terminal_end, env=environment(TERM="xterm-256color")
    ) as process:
        os.close(terminal_end)
        seen = b""
        while True:
            try:
                block = os.read(controller, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
            if not block:
                break
            seen += block
    os.close(controller)
    assert process.returncode == 0
    return seen


def test_a_reader_that_leaves_early_is_no_error(model: Path) -> None:
    sample = shlex.join(command("sample", model, "-n", "50000"))
    done = subprocess.run(
        ["bash", "-c", f"{sample} | head -n 1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=True, env=environment(),
    )  # fmt: skip
    assert done.stderr == ""
    header, status = done.stdout.split()
    assert header.startswith("town,")
    assert status == str(terminal.PIPE_CLOSED)


def test_an_interruption_ends_cleanly_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "m.cumulant"
    with subprocess.Popen(
        command("fit", "-", "-o", out), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environment(),
    ) as process:  # fmt: skip
        assert process.stdin is not None
        process.stdin.write("a,b\n" + "1,2\n" * 10)
        process.stdin.flush()
        _wait_until_reading(process.pid)
        process.send_signal(signal.SIGINT)
        out_text, err_text = process.communicate()
    assert process.returncode == terminal.INTERRUPTED
    assert err_text == "interrupted: nothing was written\n"
    assert out_text == ""
    assert list(tmp_path.iterdir()) == []


def _wait_until_reading(pid: int) -> None:
    """Until the process waits for more of its standard input, all that was written being taken."""
    for _ in range(600):
        where = Path(f"/proc/{pid}/wchan").read_text()
        if "pipe" in where:
            return
        time.sleep(0.05)
    pytest.fail("the program never came to read its standard input")
