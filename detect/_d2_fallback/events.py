"""Stand-in for `detectron2.utils.events`: where modules leave their scalars during a step."""

from __future__ import annotations

from collections import defaultdict

from fvcore.common.history_buffer import HistoryBuffer

_ACTIVE_STORAGES: list[EventStorage] = []


def get_event_storage() -> EventStorage:
    """The storage of the innermost `with EventStorage(...)`; AssertionError outside of any."""
    assert _ACTIVE_STORAGES, "get_event_storage() was called outside of 'with EventStorage(...)'"
    return _ACTIVE_STORAGES[-1]


class EventStorage:
    """Scalars by name and iteration, put by any module during a step and read by the writers after it."""

    def __init__(self, start_iter: int = 0):
        self.iter = start_iter
        self._histories: dict[str, HistoryBuffer] = defaultdict(HistoryBuffer)
        self._latest: dict[str, tuple[float, int]] = {}
        self._hints: dict[str, bool] = {}

    def put_scalar(self, name: str, value: float, smoothing_hint: bool = True, cur_iter: int | None = None) -> None:
        """Record `value`; `smoothing_hint` says that it is noisy and a median over some steps is shown."""
        value = float(value)
        known_hint = self._hints.setdefault(name, smoothing_hint)
        assert known_hint == smoothing_hint, f"scalar {name} was put with another smoothing_hint before"
        iteration = self.iter if cur_iter is None else cur_iter
        self._histories[name].update(value, iteration)
        self._latest[name] = (value, iteration)

    def put_scalars(self, *, smoothing_hint: bool = True, cur_iter: int | None = None, **kwargs: float) -> None:
        for name, value in kwargs.items():
            self.put_scalar(name, value, smoothing_hint, cur_iter)

    def history(self, name: str) -> HistoryBuffer:
        if name not in self._histories:
            raise KeyError(f"no scalar {name!r} was put; there are {sorted(self._histories)}")
        return self._histories[name]

    def latest(self) -> dict[str, tuple[float, int]]:
        """{name: (value, iteration)} of the last value of each scalar."""
        return self._latest

    def latest_with_smoothing_hint(self, window_size: int = 20) -> dict[str, tuple[float, int]]:
        """As `latest`; smoothed scalars give their median over the last `window_size` iterations."""
        smoothed = {}
        for name, (value, iteration) in self._latest.items():
            if self._hints[name]:
                values = self._histories[name].values()
                value = self._histories[name].median(sum(at > values[-1][1] - window_size for _, at in values))
            smoothed[name] = (value, iteration)
        return smoothed

    def __enter__(self) -> EventStorage:
        _ACTIVE_STORAGES.append(self)
        return self

    def __exit__(self, *exception) -> None:
        assert _ACTIVE_STORAGES[-1] is self
        _ACTIVE_STORAGES.pop()
