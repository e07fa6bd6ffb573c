"""What the command lines of all tools share. Light: no torch, so that `--help` is there at once."""

import argparse
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from detect.utils.errors import UserError, end_progress_bars, explain_errors
from detect.utils.malloc import tune_malloc

OVERRIDES = "config overrides: KEY VALUE KEY VALUE ..."
RESERVED = ("path", "dataset", "format", "formats")  # what readers are called with in any case
WEIGHTS = "checkpoint: a file, https://..., torchvision://..., detectron2://..."


def tool_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the tool's docstring as it stands."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_config(parser: argparse.ArgumentParser, config_help: str, *, nargs=argparse.REMAINDER, **options) -> None:
    """--config-file FILE and KEY VALUE ... at the end. nargs: "*" for a tool with an argument before its options, which
    takes its words with `parse_intermixed_args`.
    """
    parser.add_argument("--config-file", metavar="FILE", help=config_help, **options)
    parser.add_argument("opts", nargs=nargs, default=[], help=OVERRIDES)


def training_parser(description: str | None) -> argparse.ArgumentParser:
    """Detectron2's command line: --config-file F --num-gpus N ... KEY VALUE KEY VALUE."""
    parser = tool_parser(description)
    add_config(parser, "YAML config; see configs/. Without it: the config in the checkpoint of --weights", default="")
    parser.add_argument("--weights", default="", metavar="FILE", help=f"MODEL.WEIGHTS, a {WEIGHTS}")
    parser.add_argument("--resume", action="store_true", help="continue from OUTPUT_DIR/last_checkpoint, if any")
    parser.add_argument("--eval-only", action="store_true", help="evaluate the weights and stop")
    gpus_help = "processes here (CPU if there is no GPU)"
    parser.add_argument("--num-gpus", type=process_count, default=1, metavar="N", help=gpus_help)
    parser.add_argument("--num-machines", type=int, default=1, help="machines in all")
    parser.add_argument("--machine-rank", type=int, default=0, help="number of this machine, from 0")
    parser.add_argument("--dist-url", default="auto", help="tcp://HOST:PORT of machine 0; auto on one machine")
    return parser


def add_engine(parser: argparse.ArgumentParser) -> None:
    text = "what runs an .onnx (onnxruntime, the default, or openvino) or .pt2 (torch) file"
    parser.add_argument("--engine", choices=("onnxruntime", "openvino", "torch"), help=text)


@contextmanager
def running_tool() -> Iterator[None]:
    """The frame of every tool: memory settings, the user's errors as one line with exit status 2, and signals that end
    it with 128 + their number, after what is half written has been removed.
    """
    tune_malloc()
    with explain_errors(), leaving_on_signals(), leaving_with_the_reader():
        yield


@contextmanager
def leaving_with_the_reader() -> Iterator[None]:
    """A reader of the output that has seen enough, as in `tool | head`, ends the tool without a traceback."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        watch = select.poll()
        watch.register(sys.stdout, 0)
        if not watch.poll(0):  # it was another pipe
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where what is left unsaid goes
        raise SystemExit(128 + signal.SIGPIPE) from None


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit, so that `finally` and `with` do their work; Ctrl-C without a traceback."""

    def leave(signum, frame) -> None:
        raise SystemExit(128 + signum)

    main_thread = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGHUP) if main_thread else ()
    before = {number: signal.signal(number, leave) for number in numbers if signal.getsignal(number) == signal.SIG_DFL}
    try:
        yield
    except KeyboardInterrupt:
        end_progress_bars()
        print("stopped", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def finishing_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """In the block the first Ctrl-C, SIGTERM or SIGHUP calls `stop`, so that what has begun is finished; a second one
    ends the program as ever.
    """
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def finish(signum, frame) -> None:
        restore()
        stop()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, finish)
    try:
        yield
    finally:
        restore()


def process_count(text: str) -> int:
    """Of --num-gpus: 0 is one process, as 1 is."""
    if (count := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{count} processes; give 0 or more")
    return max(count, 1)


def key_values(options: Sequence[str]) -> dict[str, str]:
    """{name: value} of NAME=VALUE; values stay text, as it is the reader that knows what they are. UserError."""
    pairs = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not (name.isidentifier() and equals):
            raise UserError(f"the option is {text!r}; expected NAME=VALUE, such as fps=25")
        if name in RESERVED:
            raise UserError(f"the option is {text!r}; {name} is not an option of a file format")
        pairs[name] = value
    return pairs


def add_endpoint(parser: argparse.ArgumentParser, default: Sequence[str]) -> None:
    """--endpoint NAME, repeatable; None where it is not given."""
    text = f"layer, repeatable ({' '.join(default)})"
    parser.add_argument("--endpoint", nargs="+", action="extend", metavar="NAME", help=text)


def add_shard(parser: argparse.ArgumentParser) -> None:
    """--shard i/n, which `detect.utils.shards.this_shard` reads."""
    text = "every n-th video from the i-th, 1/n to n/n (all of them; under torchrun the share of each process)"
    parser.add_argument("--shard", metavar="i/n", help=text)


def old_name(parser: argparse.ArgumentParser, old: str, new: str, **options) -> None:
    """Keep an option's earlier name working; using it says the new one."""

    class OldName(argparse.Action):
        def __call__(self, parser, namespace, values, option_string=None):
            print(f"note: {old} is now {new}", file=sys.stderr)
            setattr(namespace, self.dest, values)

    hidden = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    parser.add_argument(old, dest=new.lstrip("-").replace("-", "_"), action=OldName, **hidden, **options)


def old_positional(parser: argparse.ArgumentParser) -> None:
    """Accept files without an option before them, as earlier versions had it, as the list `old`."""
    parser.add_argument("old", nargs="*", help=argparse.SUPPRESS)
