"""The command line as a user meets it: exit codes, one-line errors, help that teaches."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from mcdrop.cli import main; main()"]


def run(*args, cwd):
    environment = os.environ | {"COLUMNS": "120", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run([*COMMAND, *args], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_demo_prints_its_report_and_writes_to_the_default_folder(tmp_path):
    done = run("demo", "co2", "--preset", "tiny", "--passes", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MC dropout, ReLU" in done.stdout and "GP, SE kernel" in done.stdout
    assert "expected at least 5" in done.stdout
    assert (tmp_path / "runs" / "co2" / "panels.png").is_file()
    quiet = run("demo", "co2", "--preset", "tiny", "--passes", "20", "--reuse", "--quiet", cwd=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("demo", "co2", "--preset", "huge"), "preset must be one of default, paper, tiny, got 'huge'"),
        (("demo", "co2", "--passes", "1"), "passes must be an integer of at least 2"),
        (("demo", "digits", "--data", "nowhere"), "nowhere"),
        (("demo", "digits", "--out", "/proc/none/out"), "cannot write"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(tmp_path, args, message):
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == "" and message in done.stderr
    assert done.stderr.startswith("mcdrop: error: ") and done.stderr.count("\n") == 1


def test_an_unknown_option_is_exit_code_2_too(tmp_path):
    done = run("demo", "co2", "--pases", "3", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_help_names_the_demos_and_their_options(tmp_path):
    assert "co2" in run("demo", "--help", cwd=tmp_path).stdout
    text = run("demo", "digits", "--help", cwd=tmp_path).stdout
    assert all(option in text for option in ("--out", "--preset", "--seed", "--passes", "--data", "--reuse", "--quiet"))


def test_version(tmp_path):
    assert run("--version", cwd=tmp_path).stdout.startswith("mcdrop 0.")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_interrupting_training_is_a_clear_line(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "demo", "co2", "--quiet"], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not Path(tmp_path, "runs", "co2").is_dir() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)  # into the training of the first net
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.startswith("mcdrop: error: ") and error.count("\n") == 1
    assert not [path for path in Path(tmp_path, "runs", "co2").iterdir() if path.name.startswith(".")]
