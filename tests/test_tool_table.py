"""docs/tools.md is made of the parsers; `python -m tests.test_tool_table` writes it anew."""

import argparse
from pathlib import Path

import detect.evaluation.files.table_annotations  # noqa: F401  adds the row of tables
from backbones.importers import SOURCES
from detect.evaluation.files.detection_files import DETECTION_FORMATS
from detect.evaluation.files.table_annotations import EVERY_FORMAT
from tests.running import ROOT, TOOLS, load_tool

PAGE = ROOT / "docs" / "tools.md"
HEAD = """# Tools

Each tool is a command of `tools/`; `--help` says what it reads and writes. This page is made of their parsers by
`python -m tests.test_tool_table`.

The words mean the same everywhere. `--weights` is a checkpoint: a file, `https://...`, `torchvision://...` or
`detectron2://...`. `--config-file` is a YAML config, which a complete checkpoint makes unnecessary; `KEY VALUE` at the
end overrides it. `--classes` is a file of names, `--num-classes` a number, `--endpoint NAME` may be given more than
once, `--output` is a file or folder to write, `--json` a file of results. Exit status: 0 done; 1 done, but some inputs
were bad (they are listed); 2 something that you can mend, in one line; 143 stopped by SIGTERM. A traceback is a fault
of the program.

| tool | what it does | options |
|---|---|---|
"""


def row(name: str) -> str:
    parser = load_tool(name).build_parser()
    title = parser.description.strip().splitlines()[0]
    words = []
    for action in parser._actions:
        if action.help in (argparse.SUPPRESS, None) and not isinstance(action, argparse._SubParsersAction):
            continue
        if isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            words.append(" \\| ".join(action.choices))
        elif action.option_strings:
            words.append(action.option_strings[0])
        else:
            words.append("KEY VALUE ..." if action.dest == "opts" else str(action.metavar))
    return f"| [{name}](../tools/{name}.py) | {title} | {' '.join(f'`{word}`' for word in words)} |\n"


def page() -> str:
    return HEAD + "".join(map(row, TOOLS))


def test_the_page_is_what_the_parsers_say():
    assert PAGE.read_text() == page(), "run: python -m tests.test_tool_table"


def test_one_vocabulary():
    """--weights takes a checkpoint in every tool, and no option of the old words is shown."""
    for name in TOOLS:
        shown = {
            text: action
            for action in load_tool(name).build_parser()._actions
            for text in action.option_strings
            if action.help != argparse.SUPPRESS
        }
        assert not {"--endpoints", "--networks", "--checkpoint", "--out", "--num_classes"} & set(shown), name
        if "--weights" in shown:
            assert "torchvision://" in shown["--weights"].help, name
        if "--classes" in shown:
            assert shown["--classes"].type is None, name  # a file


def test_earlier_words_still_work_and_say_the_new_ones(capsys):
    for tool, words, name, value in (
        ("analyze_model", ["--classes", "5"], "num_classes", 5),
        ("fuse_scores", ["a", "b", "--weights", "1", "2"], "shares", [1.0, 2.0]),
        ("tsne", ["--output", "x.png", "--endpoints", "mixed_3b,mixed_4e"], "endpoint", ["mixed_3b", "mixed_4e"]),
        ("evidence", ["--networks", "i2d,i3d"], "network", ["i2d", "i3d"]),
    ):
        assert getattr(load_tool(tool).build_parser().parse_args(words), name) == value
        assert f"is now --{name.replace('_', '-')}" in capsys.readouterr().err
    parse = load_tool("extract_features").build_parser().parse_args
    required = ["--weights", "w", "--input", "i", "--output", "o"]
    assert parse([*required, "--endpoint", "a", "b"]).endpoint == ["a", "b"]
    assert parse([*required, "--endpoint", "a", "--endpoint", "b"]).endpoint == ["a", "b"]
    assert load_tool("convert_weights").build_parser().parse_args(["in.pth", "out.pth"]).old == ["in.pth", "out.pth"]


def test_the_formats_in_the_help_are_all_of_them():
    assert load_tool("evaluate").FORMATS == tuple(DETECTION_FORMATS)
    convert = load_tool("convert_annotations")
    assert convert.BOTH == tuple(name for name, row in EVERY_FORMAT.items() if row.write)
    assert convert.READ_ONLY == tuple(name for name, row in EVERY_FORMAT.items() if not row.write)


def test_the_sources_in_the_help_are_all_of_them():
    assert load_tool("convert_weights").SOURCES == tuple(SOURCES)


if __name__ == "__main__":
    Path(PAGE).write_text(page())
