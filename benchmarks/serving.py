"""Measure the exported generator behind HTTP and in a batch job, against mode images of the run.

python benchmarks/serving.py --workdir=runs/vaegan-... --export=my_model [--n=4096] [--rounds=3]

The sides are docs/examples/serve.py with --clients concurrent requests of 16 images each,
docs/examples/batch_job.py, and `run_sample.py --mode=images`. They take turns in each round. A side
makes --few images and then --n: the difference of both gives images per second without the start.
Prints JSON: medians over the rounds, and the ratios to mode images within a round. cpu_ms is the
processor time of an image, which other programs disturb less than the time on the clock. Needs the
packages of the extra dev, and Linux or macOS.
"""

import concurrent.futures
import dataclasses
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.core.errors import MissingInput, SelfTestError, UsageError

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "A run's folder.", required=True)
flags.DEFINE_string("export", None, "What --mode=export wrote of this run.", required=True)
flags.DEFINE_integer("n", 4096, "Images of each side in a round.", 64)
flags.DEFINE_integer("few", 64, "Images of the short process, whose time is mostly the start.", 1)
flags.DEFINE_integer("rounds", 3, "Rounds; each side is measured once in a round.", 1)
flags.DEFINE_integer("clients", 4, "Concurrent requests to the service.", 1)

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs/examples"
REQUEST_SIZE = 16  # images of a request: the largest batch of serve.py
START_TIMEOUT_S = 300.0
KIB = 1024 if sys.platform == "linux" else 1  # the unit of ru_maxrss, in bytes


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a process took: seconds on the clock, seconds of processors, peak memory in MB."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def wait_for(process: subprocess.Popen, start: float) -> Usage:
    """Wait for the end of a process that began at `start`, on the monotonic clock."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Usage(time.monotonic() - start, cpu_seconds, usage.ru_maxrss * KIB / 1e6)


def start_process(command: Sequence[str]) -> subprocess.Popen:
    """Start a Python program; what it prints goes to a file that check_end reads."""
    log = tempfile.TemporaryFile()  # noqa: SIM115 the process keeps it open
    process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)
    process.log = log
    return process


def check_end(process: subprocess.Popen, name: str, is_stopped: bool = False) -> None:
    """SelfTestError where a process failed; one that was stopped may end with a signal."""
    process.log.seek(0)
    text = process.log.read().decode(errors="replace").strip()
    process.log.close()
    if process.returncode and not is_stopped:
        last_line = text.splitlines()[-1] if text else "no output"
        raise SelfTestError(f"{name} failed: {last_line}", "run it alone to see why")


def run_job(command: Sequence[str], name: str) -> Usage:
    """Run a program to its end."""
    start = time.monotonic()
    process = start_process(command)
    usage = wait_for(process, start)
    check_end(process, name)
    return usage


def measure_job(commands: dict[int, Sequence[str]], name: str) -> dict[str, float]:
    """A program that makes images and ends. commands: by the number of images, few and n."""
    few, n = sorted(commands)
    short, long = run_job(commands[few], name), run_job(commands[n], name)
    # Two short processes under other load can take longer than a long one.
    seconds = max(long.seconds - short.seconds, 1e-3)
    return {
        "images_per_s": (n - few) / seconds,
        "images_per_s_with_start": n / long.seconds,
        "cpu_ms": 1000 * max(long.cpu_seconds - short.cpu_seconds, 0.0) / (n - few),
        "start_s": short.seconds,
        "peak_mb": long.peak_mb,
    }


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=START_TIMEOUT_S) as response:
        return response.read()


def wait_until_ready(process: subprocess.Popen, url: str) -> None:
    """Return once the service answers. SelfTestError where it ends or does not begin."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            check_end(process, "serve.py")
        try:
            fetch(url)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise SelfTestError("serve.py did not answer", "run it alone to see why")


def read_cpu_seconds(process: subprocess.Popen) -> float:
    """Processor seconds of a running process; 0 where /proc does not say."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_service(folder: str, n: int, clients: int) -> dict[str, float]:
    """The service with so many concurrent requests; it is stopped afterwards."""
    url = f"http://127.0.0.1:{(port := find_free_port())}/images"
    start = time.monotonic()
    process = start_process([str(EXAMPLES / "serve.py"), folder, str(port)])
    try:
        wait_until_ready(process, f"{url}?n=1")
        start_s, start_cpu = time.monotonic() - start, read_cpu_seconds(process)
        urls = [f"{url}?n={REQUEST_SIZE}&seed={seed}" for seed in range(n // REQUEST_SIZE)]
        latencies = []

        def request(address: str) -> None:
            begin = time.monotonic()
            fetch(address)
            latencies.append(time.monotonic() - begin)

        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            list(pool.map(request, urls))
        seconds, cpu = time.monotonic() - begin, read_cpu_seconds(process) - start_cpu
    finally:
        process.terminate()
    usage = wait_for(process, start)
    check_end(process, "serve.py", is_stopped=True)
    num_images = len(urls) * REQUEST_SIZE
    return {
        "images_per_s": num_images / seconds,
        "images_per_s_with_start": num_images / (seconds + start_s),
        "cpu_ms": 1000 * cpu / num_images,
        "start_s": start_s,
        "peak_mb": usage.peak_mb,
        "request_s": statistics.median(latencies),
    }


def measure_round(folder: Path) -> dict[str, dict[str, float]]:
    """Each side once, by name; the images go into `folder`."""
    counts = (FLAGS.few, FLAGS.n)
    sample = [str(ROOT / "run_sample.py"), f"--workdir={FLAGS.workdir}", "--mode=images"]
    job = [str(EXAMPLES / "batch_job.py"), FLAGS.export]
    sample_commands = {n: [*sample, f"--n={n}", f"--out={folder / f'images{n}'}"] for n in counts}
    job_commands = {n: [*job, str(folder / f"job{n}"), str(n)] for n in counts}
    return {
        "mode images": measure_job(sample_commands, "mode images"),
        "batch job": measure_job(job_commands, "batch_job.py"),
        "service": measure_service(FLAGS.export, FLAGS.n, FLAGS.clients),
    }


def summarise(rounds: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict]:
    """Medians of each side over the rounds, and of the ratios to mode images within a round."""
    medians = {
        side: {name: statistics.median(one[side][name] for one in rounds) for name in values}
        for side, values in rounds[0].items()
    }
    ratios = {
        side: {
            name: statistics.median(one[side][name] / one["mode images"][name] for one in rounds)
            for name in values
            if name in rounds[0]["mode images"]
        }
        for side, values in rounds[0].items()
        if side != "mode images"
    }
    return {"medians": medians, "ratios": ratios}


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    for path in (Path(FLAGS.workdir) / "config.json", Path(FLAGS.export) / "generator.stablehlo"):
        if not path.is_file():
            raise MissingInput(f"{path} does not exist", "check --workdir and --export")
    if FLAGS.n <= max(FLAGS.few, REQUEST_SIZE):
        raise UsageError(
            f"--n={FLAGS.n} is not more than --few and {REQUEST_SIZE}", "set a larger --n"
        )
    rounds = []
    for _ in range(FLAGS.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(measure_round(Path(folder)))
        print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
    print(json.dumps(summarise(rounds), indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
