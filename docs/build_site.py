"""Builds the documentation as a site; every warning is an error.

python docs/build_site.py               # writes build/docs/index.html, which a browser opens without a server
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs", help="folder of the site")
    out = parser.parse_args().out
    command = [sys.executable, "-m", "sphinx", "--builder", "html", "--quiet", "--fresh-env", "--write-all"]
    command += ["--fail-on-warning", "--keep-going", "--conf-dir", str(FOLDER), str(ROOT), str(out)]
    done = subprocess.run(command, check=False)
    if done.returncode == 0:
        print(f"open {out / 'index.html'}")
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
