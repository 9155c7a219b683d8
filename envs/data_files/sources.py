"""Where data comes from: a file, a folder, the hub, or an object that the user has already.

JSON Lines, JSON and CSV are read here, so that plain ones need no library, an error knows the line, and a file has the
same rows alone, compressed, beside others and in a folder; everything else is read by the library ``datasets``.
"""

from __future__ import annotations

import functools
import importlib
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Hashable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from ...rewards.suggestions import did_you_mean
from .rows import DatasetRows, FrameRows, ListRows, Rows, SeveralRows
from .text_files import Csv, JsonLines, json_rows

T = TypeVar("T")
HUB = "hf:"
"""What the name of a data set on the hub begins with: ``hf:openai/gsm8k``, ``hf:openai/gsm8k:main:test``."""
PREFERRED_CONFIGS = ("default", "main")
PREFERRED_SPLIT = "train"
READERS: dict[str, Callable[..., Rows]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": json_rows,
    ".csv": Csv,
    ".tsv": functools.partial(Csv, delimiter="\t"),
}
"""What reads a file of each ending without ``datasets``, of its path and what errors call it."""
BUILDERS = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "text",
}
"""What ``datasets`` calls each kind of file."""
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4", ".zip": "zip"}
"""What ``fsspec`` calls each way to compress a file."""
_ELSEWHERE = {
    ".xlsx": "save the sheet as CSV, or pass pandas.read_excel(FILE)",
    ".xls": "save the sheet as CSV, or pass pandas.read_excel(FILE)",
    ".pkl": "pass what it holds, a DataFrame or a list of dicts",
    ".db": "pass pandas.read_sql(...)",
}


def open_rows(data: Any) -> Rows:
    """The rows of whatever a user may give as data.

    Args:
        data: a path to a file, a folder or several files (``part-*.jsonl``), a name on the hub (:data:`HUB`), a
            ``Dataset``, a DataFrame of pandas, or a list of dicts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that cannot be read, a data set with several splits or configurations to choose from, or
            something else than these.
        ImportError: where it needs ``datasets``, with the extra that brings it.
    """
    if isinstance(data, str) and not data:
        raise ValueError(f"data must be a path, {HUB}NAME, a Dataset, a DataFrame or a list of dicts, got ''")
    if isinstance(data, (str, Path)) and str(data).startswith(HUB):
        return _hub_rows(str(data))
    if isinstance(data, (str, Path)):
        return _path_rows(Path(data))
    if _is_a(data, "datasets", "DatasetDict"):
        return DatasetRows(_one_split(data, "data"))
    if _is_a(data, "datasets", "Dataset"):
        return DatasetRows(data)
    if _is_a(data, "pandas", "DataFrame"):
        return FrameRows(data)
    if isinstance(data, Sequence) and not isinstance(data, (bytes, bytearray)):
        return ListRows(data)
    hint = ": give a Dataset, such as Dataset.from_list(list(stream.take(1000)))" if hasattr(data, "take") else ""
    hint = ": give a list of dicts, or Dataset.from_dict(data)" if isinstance(data, Mapping) else hint
    raise ValueError(  # gymnasium adds all keyword arguments to a TypeError, and data may be long
        f"data must be a path, {HUB}NAME, a Dataset, a DataFrame or a list of dicts, got {type(data).__name__}{hint}"
    )


def full_source(data: Any) -> Any:
    """``data`` as it is found from another folder too: a path from the root on; anything else stays as it is."""
    is_path = isinstance(data, (str, Path)) and not str(data).startswith(HUB)
    return str(Path(data).resolve()) if is_path else data


def state_of_files(data: Any) -> Hashable:
    """What differs once a user's file, or any of a pattern or a folder, was changed, added or removed.

    None for what is no file.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    if not isinstance(data, (str, Path)) or str(data).startswith(HUB):
        return None
    path = Path(data)
    if _is_pattern(path):
        files = _matching(path)
    elif path.is_dir():
        files = _files_in(path)
    elif path.exists():
        files = [path]
    else:
        raise _not_found(path)
    return tuple([_state(file) for file in files])


def _files_in(folder: Path) -> list[Path]:
    """The files of a folder and of those in it, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _state(file: Path) -> tuple[str, int, int]:
    """Name, size in bytes and time of the last change in ns."""
    found = file.stat()
    return str(file.resolve()), found.st_size, found.st_mtime_ns


def read_once(read: Callable[..., T]) -> Callable[..., T]:
    """``read(data, fields, on_error, ...)``, None being ours: once per process, and again when the file has changed.

    A list or a DataFrame may have been changed at any time, and is read every time; a ``Dataset`` cannot.
    """

    @functools.lru_cache(maxsize=8)
    def version(data: Any, fields: tuple[tuple[str, str], ...] | None, full: Any, state: Hashable, *rest: Any) -> T:
        return read(data, None if fields is None else dict(fields), *rest)

    @functools.wraps(read)
    def latest(data: Any = None, fields: Mapping[str, str] | None = None, on_error: str = "raise", *rest: Any) -> T:
        if data is not None and not isinstance(data, (str, Path)) and not _is_a(data, "datasets", "Dataset"):
            return read(data, fields, on_error, *rest)
        if fields is not None and not isinstance(fields, Mapping):
            return read(data, fields, on_error, *rest)  # which says what it expected
        key = None if fields is None else tuple(sorted(fields.items()))
        if not all(isinstance(part, Hashable) for part in key or ()):
            return read(data, fields, on_error, *rest)
        return version(data, key, full_source(data), state_of_files(data), on_error, *rest)

    return latest


def _is_a(data: Any, module: str, kind: str) -> bool:
    """Whether ``data`` is of a class of a library, which nobody has to have: then it is not."""
    found = getattr(sys.modules.get(module), kind, None)
    return found is not None and isinstance(data, found)


def _path_rows(path: Path) -> Rows:
    if path.is_dir():
        return _folder_rows(path)
    is_pattern = _is_pattern(path)
    files = _matching(path) if is_pattern else [path]
    if not files or not files[0].exists():
        raise _not_found(path)
    last = path.suffix.lower()
    ending = Path(path.stem).suffix.lower() if last in COMPRESSED else last
    if ending in READERS:
        return _text_rows(path, files, ending)
    if ending in BUILDERS:
        return _loaded(path, ending)
    what, known = "files that end" if is_pattern else "a folder or a file that ends", ", ".join(BUILDERS)
    hint = f": {_ELSEWHERE[ending]}" if ending in _ELSEWHERE else ""
    raise ValueError(f"{path}: expected {what} in {known}, got {last or 'no ending'}{hint}")


def _is_pattern(path: Path) -> bool:
    return any(mark in path.name for mark in "*?[") and not path.exists()


def _matching(pattern: Path) -> list[Path]:
    """The files whose names are like a pattern, sorted; hidden ones only where it asks for them."""
    found = [path for path in pattern.parent.glob(pattern.name) if path.is_file()]
    return sorted(path for path in found if pattern.name.startswith(".") or not path.name.startswith("."))


def _not_found(path: Path) -> FileNotFoundError:
    others = {other.name: str(other) for other in path.parent.iterdir()} if path.parent.is_dir() else {}
    hint = did_you_mean(path.name, others)
    if not hint and not path.suffix and len(path.parts) >= 2:
        hint = f"; a data set of the hub is {HUB}{'/'.join(path.parts[-2:])}"
    return FileNotFoundError(f"no such file: {str(path)!r}{hint}")


def _datasets(what: str) -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as e:
        raise ImportError(
            f'reading {what} needs the library datasets: pip install "dialogym[data]"', name="datasets"
        ) from e


def _text_rows(path: Path, files: Sequence[Path], ending: str) -> Rows:
    """The rows of text files, each read as it is alone and plain.

    Args:
        path: what the user calls them.
        files: where they stand.
        ending: of those whose own says nothing.
    """
    found = []
    for file in files:
        for plain in _unpacked(file) if file.suffix.lower() in COMPRESSED else [file]:
            read = READERS.get(plain.suffix.lower(), READERS[ending])
            found.append(read(plain, str(file)))
    return found[0] if len(found) == 1 and path in files else SeveralRows(found, str(path))


def _unpacked(file: Path) -> list[Path]:
    """What a compressed file holds, as plain files in the cache of ``datasets``: unpacked once, until it changes."""
    datasets = _datasets(str(file))
    state = blake2b(repr(_state(file)).encode(), digest_size=16).hexdigest()
    cache = Path(datasets.config.HF_DATASETS_CACHE) / "dialogym"
    if not (cache / state).exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as begun:
            try:
                _unpack(file, Path(begun))
            except Exception as e:  # each way to compress has its own
                raise ValueError(f"{file}: cannot be unpacked: {_last_cause(e)}") from e
            try:
                Path(begun).rename(cache / state)
            except OSError:
                if not (cache / state).exists():  # else another process was quicker
                    raise
    found = _files_in(cache / state)
    plain = [path for path in found if path.suffix.lower() in READERS and not path.name.startswith(".")]
    if not plain:
        raise ValueError(f"{file}: expected a file in it that ends in {', '.join(READERS)}, got none")
    return plain


def _unpack(file: Path, folder: Path) -> None:
    if file.suffix.lower() == ".zip":
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
        return
    fsspec = importlib.import_module("fsspec")  # comes with datasets
    with (
        fsspec.open(str(file), "rb", compression=COMPRESSED[file.suffix.lower()]) as packed,
        (folder / file.stem).open("wb") as plain,
    ):
        shutil.copyfileobj(packed, plain)


def _loaded(path: Path, ending: str) -> Rows:
    """What ``datasets`` makes of a file, or of several."""
    datasets = _datasets(str(path))
    try:
        found = datasets.load_dataset(BUILDERS[ending], data_files=str(path), split=PREFERRED_SPLIT)
    except Exception as e:  # the library raises what its readers raise
        raise ValueError(f"{path}: datasets cannot read it: {_last_cause(e)}") from e
    return DatasetRows(found, str(path), "row {}", first=1)


def _folder_rows(path: Path) -> Rows:
    datasets = _datasets(f"the folder {path}")
    kind = ""
    try:
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            found = datasets.load_from_disk(str(path))
        else:
            builder = datasets.load_dataset_builder(str(path))
            kind = f".{builder.name}"
            found = builder.config.data_files if kind in READERS else datasets.load_dataset(str(path))
    except Exception as e:  # the library raises what its readers raise
        raise ValueError(f"{path}: datasets cannot read this folder: {_last_cause(e)}") from e
    found = _one_split(found, str(path))
    if kind in READERS:
        return _text_rows(path, list(map(Path, found)), kind)
    return DatasetRows(found, str(path), "row {}", first=1)


def _hub_rows(data: str) -> Rows:
    """The rows of ``hf:OWNER/NAME``, ``hf:OWNER/NAME:CONFIG`` or ``hf:OWNER/NAME:CONFIG:SPLIT``."""
    datasets = _datasets(data)
    name, config, split = [*data.removeprefix(HUB).split(":", 2), "", ""][:3]
    if not name:
        raise ValueError(
            f"expected {HUB}OWNER/NAME, {HUB}OWNER/NAME:CONFIG or {HUB}OWNER/NAME:CONFIG:SPLIT, got {data!r}"
        )
    try:
        configs = datasets.get_dataset_config_names(name)
    except Exception as e:  # no network, no such name, no right to it: each of several libraries has its own
        raise ValueError(f"{data}: the hub does not give it: {_last_cause(e)}") from e
    chosen = _one_config(configs, config, data)
    try:
        found = datasets.load_dataset(name, chosen, split=split or None)
    except Exception as e:
        raise ValueError(f"{data}: datasets cannot load it: {_last_cause(e)}") from e
    return DatasetRows(_one_split(found, data), data, "row {}", first=1)


def _one_config(configs: Sequence[str], wanted: str, data: str) -> str:
    if wanted in configs or (not wanted and len(configs) == 1):
        return wanted or configs[0]
    preferred = [config for config in PREFERRED_CONFIGS if config in configs]
    if not wanted and preferred:
        return preferred[0]
    name = data.removeprefix(HUB).partition(":")[0]
    got = f"got {wanted!r}" if wanted else "got none"
    raise ValueError(f"{data}: expected a configuration of {', '.join(configs)}, {got}: {HUB}{name}:{configs[0]}, say")


def _one_split(found: Any, name: str) -> Any:
    """The split to take of a data set: that of training, or the only one."""
    if not isinstance(found, Mapping):
        return found
    if PREFERRED_SPLIT in found or len(found) == 1:
        return found[PREFERRED_SPLIT] if PREFERRED_SPLIT in found else next(iter(found.values()))
    raise ValueError(
        f"{name}: expected a split {PREFERRED_SPLIT!r}, or one alone, got {', '.join(found)}: give that split"
    )


def _last_cause(e: BaseException) -> str:
    while e.__cause__ is not None:
        e = e.__cause__
    return f"{type(e).__name__}: {e}"
