"""What a command-line tool shows when its input is at fault: one message instead of a traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from detect.analysis.plots import MissingExtraError
from detect.config_node import ConfigError
from detect.data.checks import AnnotationError
from detect.data.loader import TooManyBadSamples
from detect.data.safe_pickle import UnsafePickleError
from detect.video.readers import FrameReadError
from detect.weights import CheckpointError

USER_ERRORS = (
    ConfigError, AnnotationError, TooManyBadSamples, UnsafePickleError, CheckpointError, FrameReadError,
    MissingExtraError, OSError, FloatingPointError, ValueError,
)  # fmt: skip


@contextmanager
def explain_errors() -> Iterator[None]:
    """Turn an error of the user's input into `error: <message>` on stderr and exit status 2.

    DETECT_TRACEBACK=1 in the environment shows the whole traceback.
    """
    try:
        yield
    except USER_ERRORS as error:
        if os.environ.get("DETECT_TRACEBACK", "") not in ("", "0"):
            raise
        print(f"error: {error}\n(DETECT_TRACEBACK=1 shows where)", file=sys.stderr)
        raise SystemExit(2) from None
