"""The command line as a user meets it: exit codes, one-line errors, help that teaches, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mcdrop.cli import app, main
from mcdrop.cli.interrupts import advise

ORDER = ("predict", "sites", "compare", "plot", "demo")
COMMAND = [sys.executable, "-c", "from mcdrop.cli import main; main()"]


def run(*args, cwd):
    """Run a process of its own, as a shell does; it takes seconds to begin."""
    environment = os.environ | {"COLUMNS": "120", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run([*COMMAND, *args], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    """Run the command line in this process; return its exit code and what it wrote."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"COLUMNS": "120", "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    handler = signal.getsignal(signal.SIGINT)

    def called(*args):
        monkeypatch.setattr(sys, "argv", ["mcdrop", *args])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    yield called
    signal.signal(signal.SIGINT, handler)


def test_demo_prints_its_report_and_writes_to_the_default_folder(tmp_path, call, unrendered):
    code, printed, errors = call("demo", "co2", "--preset", "tiny", "--passes", "20")
    assert code == 0, errors
    assert "MC dropout (ReLU)" in printed and "GP (SE)" in printed
    assert "Inside the data: GP (structured) wins" in " ".join(printed.split())
    assert "expected at least 5" in printed
    assert (tmp_path / "runs" / "co2" / "panels.png").is_file()
    again = ("demo", "co2", "--preset", "tiny", "--passes", "20", "--gp", "none", "--reuse", "--quiet")
    assert call(*again) == (0, "", "")


def test_an_error_of_a_process_is_one_line_and_exit_code_2(tmp_path):
    done = run("compare", "a.h5", "--truth", "y.npy", cwd=tmp_path)
    line = (
        "mcdrop: error: --truth: y.npy: expected a file of inputs or a folder of images, got nothing there; check the "
        "path\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("demo", "co2", "--preset", "huge"), "preset must be one of default, paper, tiny, got 'huge'"),
        (("demo", "co2", "--gp", "maybe"), "gp must be one of 'none', 'map', 'nuts', got 'maybe'"),
        (("demo", "co2", "--passes", "1"), "passes must be an integer of at least 2"),
        (("demo", "digits", "--data", "nowhere"), "nowhere"),
        (("demo", "digits", "--out", "/proc/none/out"), "cannot write /proc/none/out"),
        (("demo", "co2", "--out", ""), "out must name a folder"),
        (("compare", "a.h5", "--truth", "y.npy"), "--truth: y.npy: expected a file"),
        (("plot", "a.h5", "--kind", "band"), "a.h5: expected a result that mcdrop saved, got no such file"),
        (("plot", "a.h5", "--kind", "bands"), "--kind must be one of 'band', 'refusal', 'measures', got 'bands'"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(call, args, message):
    code, output, error = call(*args)
    assert (code, output) == (2, "") and message in error
    assert error.startswith("mcdrop: error: ") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("demo", "co2", "--pases", "3"), "--pases"),
        (("demo", "co3"), "co3"),
        (("demo", "co2", "more"), "more"),
        (("demo", "co2", "--passes", "many"), "--passes"),
        (("compare", "a.h5"), "--truth"),
        (("compare", "--truth", "y.npy"), "FILE..."),
        (("compare", "a.h5", "--truth", "y.npy", "--names"), "--names"),
        (("plot", "a.h5"), "--kind"),
    ],
)
def test_usage_errors_are_one_line_that_leads_to_the_help(call, args, message):
    code, output, error = call(*args)
    assert (code, output) == (2, "") and message in error
    assert error.startswith("mcdrop: error: ") and error.endswith("; see mcdrop --help\n")
    assert error.count("\n") == 1


def test_without_arguments_the_help_is_printed_once(call):
    code, output, error = call()
    assert (code, error, output.count("Usage:")) == (2, "", 1)
    assert call("--help")[0] == 0


def test_help_lists_every_command_with_a_sentence_in_the_order_of_use(call):
    lines = [line.strip("│ ") for line in call("--help")[1].splitlines()]
    places = [next(k for k, line in enumerate(lines) if line.startswith(f"{name} ")) for name in ORDER]
    assert places == sorted(places)
    assert all(len(lines[place].split()) > 4 for place in places)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (("demo",), ("co2", "digits", "regularization")),
        (("demo", "digits"), ("--out", "--preset", "--seed", "--passes", "--data", "--reuse", "--quiet")),
        (("compare",), ("FILE...", "--truth", "--names", "--groups", "--noise-std", "--format", "--out")),
        (("plot",), ("FILE", "--kind", "band", "refusal", "measures", "--x", "--truth", "--out", "--output")),
    ],
)
def test_help_names_what_a_command_takes(call, command, options):
    code, output, _ = call(*command, "--help")
    assert code == 0 and all(option in output for option in options)


def test_version(call):
    assert call("--version")[1].startswith("mcdrop 0.")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_an_interrupt_of_a_demo_is_a_clear_line(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "demo", "co2", "--quiet"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where a shell runs us in background
    )
    out = tmp_path / "runs" / "co2"
    deadline = time.monotonic() + 300
    while not out.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)  # the folder is there: the first net's training is about to begin
    process.send_signal(signal.SIGINT)
    try:
        _, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert error.startswith("mcdrop: error: interrupted; files written so far are whole; run again with --reuse")
    assert process.returncode == 130 and error.count("\n") == 1
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.fixture
def waiting():
    """A command that is interrupted at once, after it said the words it was given."""
    words = []

    def wait():
        for word in words:
            advise(word)
        raise KeyboardInterrupt

    app.command()(wait)
    yield words
    app.registered_commands.pop()


def test_every_command_says_its_own_words_when_it_is_interrupted(call, waiting):
    waiting.append("run it again with --resume")
    assert call("wait") == (130, "", "mcdrop: error: interrupted; run it again with --resume\n")
    waiting.clear()  # and not those of a command before it
    assert call("wait") == (130, "", "mcdrop: error: interrupted\n")


GOES_ON = [("co2", "--reuse"), ("digits", "--reuse"), ("regularization", "--resume")]


@pytest.mark.parametrize(("demo", "option"), GOES_ON)
def test_an_interrupted_demo_names_the_option_that_goes_on(call, monkeypatch, demo, option):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"mcdrop.demos.run_{demo}", stop)
    line = f"interrupted; files written so far are whole; run again with {option} to keep what was trained"
    assert call("demo", demo, "--quiet") == (130, "", f"mcdrop: error: {line}\n")
