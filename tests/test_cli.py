"""The command line as a user meets it: exit codes, one-line errors, help that teaches."""

import os
import signal
import subprocess
import sys
import time

import pytest

COMMAND = [sys.executable, "-c", "from mcdrop.cli import main; main()"]


def run(*args, cwd):
    environment = os.environ | {"COLUMNS": "120", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run([*COMMAND, *args], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_demo_prints_its_report_and_writes_to_the_default_folder(tmp_path):
    done = run("demo", "co2", "--preset", "tiny", "--passes", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MC dropout (ReLU)" in done.stdout and "GP (SE)" in done.stdout
    assert "Inside the data: GP (structured) wins" in " ".join(done.stdout.split())
    assert "expected at least 5" in done.stdout
    assert (tmp_path / "runs" / "co2" / "panels.png").is_file()
    quiet = run("demo", "co2", "--preset", "tiny", "--passes", "20", "--reuse", "--quiet", cwd=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("demo", "co2", "--preset", "huge"), "preset must be one of default, paper, tiny, got 'huge'"),
        (("demo", "co2", "--gp", "maybe"), "gp must be one of 'none', 'map', 'nuts', got 'maybe'"),
        (("demo", "co2", "--passes", "1"), "passes must be an integer of at least 2"),
        (("demo", "digits", "--data", "nowhere"), "nowhere"),
        (("demo", "digits", "--out", "/proc/none/out"), "cannot write /proc/none/out"),
        (("demo", "co2", "--out", ""), "out must name a folder"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(tmp_path, args, message):
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == "" and message in done.stderr
    assert done.stderr.startswith("mcdrop: error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("demo", "co2", "--pases", "3"), "--pases"),
        (("demo", "co3"), "co3"),
        (("demo", "co2", "more"), "more"),
        (("demo", "co2", "--passes", "many"), "--passes"),
    ],
)
def test_usage_errors_are_one_line_that_leads_to_the_help(tmp_path, args, message):
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and message in done.stderr
    assert done.stderr.startswith("mcdrop: error: ") and done.stderr.endswith("; see mcdrop --help\n")
    assert done.stderr.count("\n") == 1


def test_without_arguments_the_help_is_printed(tmp_path):
    done = run(cwd=tmp_path)
    assert "demo" in done.stdout and done.stderr == ""
    assert run("--help", cwd=tmp_path).returncode == 0


def test_help_names_the_demos_and_their_options(tmp_path):
    assert "co2" in run("demo", "--help", cwd=tmp_path).stdout
    text = run("demo", "digits", "--help", cwd=tmp_path).stdout
    assert all(option in text for option in ("--out", "--preset", "--seed", "--passes", "--data", "--reuse", "--quiet"))


def test_version(tmp_path):
    assert run("--version", cwd=tmp_path).stdout.startswith("mcdrop 0.")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize(
    ("args", "sign"),
    [
        ((), "."),  # the folder is there: the first net's training is about to begin
        (("--preset", "tiny", "--passes", "10000000"), "net_relu.safetensors"),  # trained: now come the passes
    ],
    ids=["training", "prediction"],
)
def test_an_interrupt_is_a_clear_line(tmp_path, args, sign):
    process = subprocess.Popen(
        [*COMMAND, "demo", "co2", "--quiet", *args],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where a shell runs us in background
    )
    out = tmp_path / "runs" / "co2"
    deadline = time.monotonic() + 300
    while not (out / sign).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)  # into the work
    process.send_signal(signal.SIGINT)
    try:
        _, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert error.startswith("mcdrop: error: interrupted; files written so far are whole; run again with --reuse")
    assert process.returncode == 130 and error.count("\n") == 1
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
