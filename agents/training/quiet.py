"""What transformers says that is no news."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transformers.utils import logging


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keeps transformers from saying what is no news, such as that a head is fresh."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
