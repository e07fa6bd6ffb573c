"""Stand-in for `detectron2.structures.Instances`."""

from __future__ import annotations

from typing import Any

from torch import Tensor


class Instances:
    """The objects of one image of `image_size` (height, width): named fields of equal length.

    Fields are attributes (`instances.scores = tensor`); indexing selects the same rows of every field.
    """

    def __init__(self, image_size: tuple[int, int], **kwargs: Any):
        self._image_size = image_size
        self._fields: dict[str, Any] = {}
        for name, value in kwargs.items():
            self.set(name, value)

    @property
    def image_size(self) -> tuple[int, int]:
        return self._image_size

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self.set(name, value)

    def __getattr__(self, name: str) -> Any:
        if name == "_fields" or name not in self._fields:
            raise AttributeError(f"no field {name!r} in these Instances")
        return self._fields[name]

    def set(self, name: str, value: Any) -> None:
        if self._fields:
            assert len(self) == len(value), f"field {name!r} has {len(value)} rows, others have {len(self)}"
        self._fields[name] = value

    def has(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str) -> Any:
        return self._fields[name]

    def get_fields(self) -> dict[str, Any]:
        return self._fields

    def to(self, *args: Any, **kwargs: Any) -> Instances:
        moved = {k: v.to(*args, **kwargs) if hasattr(v, "to") else v for k, v in self._fields.items()}
        return Instances(self._image_size, **moved)

    def __getitem__(self, item: int | slice | Tensor) -> Instances:
        if type(item) is int:
            if not -len(self) <= item < len(self):
                raise IndexError(f"index {item} of {len(self)} instances")
            item = slice(item, None, len(self))  # keeps the field's type, whatever it is, a sequence of one
        return Instances(self._image_size, **{k: v[item] for k, v in self._fields.items()})

    def __len__(self) -> int:
        for value in self._fields.values():
            return len(value)
        raise NotImplementedError("Instances without fields have no length")

    def __iter__(self):
        raise NotImplementedError("Instances are not iterable; index them")

    def __repr__(self) -> str:
        height, width = self._image_size
        fields = ", ".join(f"{name}: {value}" for name, value in self._fields.items())
        size = f"num_instances={len(self)}, image_height={height}, image_width={width}"
        return f"Instances({size}, fields=[{fields}])"
