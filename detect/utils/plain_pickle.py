"""Write pickles that old readers can load: arrays under the names that numpy 1 knows, without classes of ours."""

import pickle
import pickletools
from pathlib import Path
from typing import Any

from detect.utils.files import atomic_file

_NEW, _OLD = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"  # where numpy 2 and numpy 1 make arrays


def dump_pickle(path: str | Path, value: Any, protocol: int) -> None:
    """Write plain values and arrays; `protocol` 2 is read by Python 2 too. No numpy scalars: these have other names."""
    if protocol not in (2, 3):  # from 4 on a name is no longer text in one piece
        raise ValueError(f"protocol {protocol}; 2 and 3 are written")
    data = pickle.dumps(value, protocol)
    for opcode, _, position in pickletools.genops(data):  # the name is there once, later arrays refer to it
        if opcode.name == "GLOBAL" and data.startswith(_NEW, position):
            data = data[:position] + _OLD + data[position + len(_NEW) :]
            break
    with atomic_file(path, len(data)) as stream:
        stream.write(data)
