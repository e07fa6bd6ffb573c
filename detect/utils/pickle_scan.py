"""Look through a pickle before it is loaded: what it claims must fit its size.

A few bytes can claim gigabytes: the length of a string, the number of a memo, a thousand containers of a byte each. The
unpickler believes them and allocates. Here every claim is held against the bytes that are there.
"""

import pickletools

_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
_MEMO = {"PUT", "BINPUT", "LONG_BINPUT"}
_CONTAINERS = {"EMPTY_LIST", "EMPTY_DICT", "LIST", "DICT", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
# Nothing that holds arrays has these: sets (200 bytes of memory for one of the file), classes by number, buffers.
_REFUSED = {
    "EMPTY_SET", "FROZENSET", "ADDITEMS", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER",
    "READONLY_BUFFER", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX",
}  # fmt: skip
SPARE_CONTAINERS = 1000
BYTES_OF_A_CONTAINER = 8  # of the file for each, on average; real annotations have a hundred


def scan(data: bytes) -> None:
    """ValueError if the opcodes do not fit the data, or claim more than these can hold."""
    position, opcodes, containers = 0, 0, 0
    while True:
        if position >= len(data):
            raise ValueError("it has no end; it may be cut off")
        opcode = _OPCODES.get(data[position])
        if opcode is None:
            raise ValueError(f"byte {position} is no opcode")
        opcodes += 1
        if opcode.name in _REFUSED:
            raise ValueError(f"it uses {opcode.name}, which arrays and plain values do not need")
        start, position = position + 1, _end(data, position + 1, opcode)
        if opcode.name in _MEMO:
            text = data[start:position]
            index = int(text) if opcode.name == "PUT" else int.from_bytes(text, "little")
            if not 0 <= index < opcodes:
                raise ValueError(f"it claims memo {index} after {opcodes} opcodes")
        containers += opcode.name in _CONTAINERS
        if opcode.name == "STOP":
            break
    if containers > len(data) // BYTES_OF_A_CONTAINER + SPARE_CONTAINERS:
        raise ValueError(f"it claims {containers} containers in {len(data)} bytes")


def _end(data: bytes, start: int, opcode: pickletools.OpcodeInfo) -> int:
    """Where the argument ends that starts at `start`."""
    size = 0 if opcode.arg is None else opcode.arg.n
    if size == pickletools.UP_TO_NEWLINE:
        lines = 2 if opcode.name in ("GLOBAL", "INST") else 1
        end = start - 1
        for _ in range(lines):
            end = data.find(b"\n", end + 1)
            if end < 0:
                raise ValueError("a line has no end; it may be cut off")
        return end + 1
    if size in _LENGTH_BYTES:
        width, signed = _LENGTH_BYTES[size]
        length = int.from_bytes(data[start : start + width], "little", signed=signed)
        start, size = start + width, length
    elif opcode.name == "FRAME":
        length = int.from_bytes(data[start : start + 8], "little")
        if length > len(data) - start - 8:
            raise ValueError(f"a frame claims {length} bytes, {len(data) - start - 8} are left; it may be cut off")
    if not 0 <= size <= len(data) - start:
        raise ValueError(f"{opcode.name} claims {size} bytes, {len(data) - start} are left; it may be cut off")
    return start + size
