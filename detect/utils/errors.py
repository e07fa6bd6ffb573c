"""The user's errors, which a tool shows as one line; every other exception is a fault of the program."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


class UserError(ValueError):
    """What the user can mend: the message names the file or key, the value, what is legal and the next step.

    The errors of configs, annotations, checkpoints and videos are subclasses. Tools print the message and leave with
    exit status 2; anything else keeps its traceback.
    """


class MissingExtraError(UserError, ImportError):
    """An optional package is not installed; the message says how to install it."""


def check_choices(options: object, legal: Mapping[str, Iterable[str]]) -> None:
    """UserError for the first attribute of `options` whose value is none of its legal ones."""
    for name, values in legal.items():
        if getattr(options, name) not in values:
            raise UserError(f"{name} is {getattr(options, name)!r}; choose one of {', '.join(values)}")


def end_progress_bars() -> None:
    """So that what is printed next stands on a line of its own."""
    bars = getattr(getattr(sys.modules.get("tqdm"), "tqdm", None), "_instances", ())
    for bar in list(bars):
        bar.close()


@contextmanager
def explain_errors() -> Iterator[None]:
    """Turn a `UserError`, or an error that `backbones` defines, into `error: <message>` on stderr and exit status 2.

    (`backbones` stands alone: its InputSizeError and WeightsError are the user's too, and no UserError.)
    DETECT_TRACEBACK=1 in the environment shows the whole traceback.
    """
    try:
        yield
    except ValueError as error:
        if not (isinstance(error, UserError) or type(error).__module__.startswith("backbones.")):
            raise
        if os.environ.get("DETECT_TRACEBACK", "") not in ("", "0"):
            raise
        end_progress_bars()
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
