"""Stand-ins for the dataset catalogs and the evaluator interface of Detectron2."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any


class _DatasetCatalog(UserDict):
    """Dataset name -> function without arguments that returns its list of dataset dicts."""

    def register(self, name: str, func: Callable[[], Sequence[dict]]) -> None:
        assert callable(func), f"dataset {name!r} must be registered with a function"
        assert name not in self, f"dataset {name!r} is already registered"
        self[name] = func

    def get(self, name: str) -> Sequence[dict]:
        if name not in self:
            raise KeyError(f"dataset {name!r} is not registered; registered: {', '.join(self) or 'none'}")
        return self[name]()

    def list(self) -> list[str]:
        return list(self.keys())

    def remove(self, name: str) -> None:
        self.pop(name)


class Metadata(SimpleNamespace):
    """Attributes of one dataset. An attribute, once set, may be set again to an equal value only."""

    name: str = "N/A"

    def __getattr__(self, key: str) -> Any:
        raise AttributeError(f"dataset {self.name!r} has no metadata {key!r}; it has {sorted(self.__dict__)}")

    def __setattr__(self, key: str, value: Any) -> None:
        if key in self.__dict__:
            old = self.__dict__[key]
            assert old == value, f"metadata {key!r} of {self.name!r} is {old!r}, cannot become {value!r}"
        else:
            super().__setattr__(key, value)

    def set(self, **kwargs: Any) -> Metadata:
        for key, value in kwargs.items():
            setattr(self, key, value)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)


class _MetadataCatalog(UserDict):
    """Dataset name -> its Metadata, made empty on first use."""

    def get(self, name: str) -> Metadata:
        assert len(name), "a dataset needs a name"
        if name not in self:
            self[name] = Metadata(name=name)
        return self[name]

    def list(self) -> list[str]:
        return list(self.keys())

    def remove(self, name: str) -> None:
        self.pop(name)


DatasetCatalog = _DatasetCatalog()
MetadataCatalog = _MetadataCatalog()


class DatasetEvaluator:
    """`reset()`, `process(inputs, outputs)` for every batch, then `evaluate()` -> {task: {metric: value}}."""

    def reset(self) -> None:
        pass

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        pass

    def evaluate(self) -> dict | None:
        pass
