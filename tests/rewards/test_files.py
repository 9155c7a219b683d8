"""Lines that many add to one file, on a disk that fills up meanwhile."""

import subprocess
import sys
from pathlib import Path

import pytest

WRITERS = """
import os, resource, signal, sys, threading
from dialogym.rewards import files

folder, how = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))
if how == "threads without flock":
    files.fcntl = None

def write(path, writer):
    for number in range(15):
        line = f"{writer}-{number}" + "x" * (5500 if writer % 2 else 0)
        try:
            files.append_line(path, line)
        except OSError:
            continue
        with open(f"{path}.{writer}", "a") as told:
            told.write(f"{line}\\n")

for round in range(5):
    path = os.path.join(folder, str(round))
    if how == "processes":
        children = []
        for writer in range(6):
            children.append(os.fork())
            if not children[-1]:
                write(path, writer)
                os._exit(0)
        for child in children:
            os.waitpid(child, 0)
    else:
        threads = [threading.Thread(target=write, args=(path, writer)) for writer in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
"""


@pytest.mark.parametrize("how", ["threads", "threads without flock", "processes"])
def test_a_line_that_was_added_stays_whatever_others_could_not_add(tmp_path, how):
    subprocess.run([sys.executable, "-c", WRITERS, str(tmp_path), how], check=True, cwd=Path(__file__).parents[2])
    for number in range(5):
        found = (tmp_path / str(number)).read_text()
        told = [line for one in tmp_path.glob(f"{number}.*") for line in one.read_text().splitlines()]
        assert sorted(found.splitlines()) == sorted(told)
        assert len(told) >= 45  # all the short ones have room
        assert found.endswith("\n")
