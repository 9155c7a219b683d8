"""What every task with a file of one's own promises, in one place."""

import os
import pickle


def edited_and_pickled(task, before, after, tmp_path, monkeypatch):
    """The task of a CSV file given by its relative path, pickled, after the file and the folder have changed."""
    path = tmp_path / "own.csv"
    path.write_text(before, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    made = task(data="own.csv")
    path.write_text(after, encoding="utf-8")
    os.utime(path, ns=(1, 1))
    monkeypatch.chdir("/")
    return pickle.loads(pickle.dumps(made))
