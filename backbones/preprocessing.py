"""What a network's weights expect of their input."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Preprocessing:
    """The network's input is (pixel - mean) / std, pixel 0..255, channel by channel in `channel_order`.

    frame_rate: frames a second of the clips that the weights were trained on, None where the source does not say.
    """

    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    std: tuple[float, ...] = (127.5, 127.5, 127.5)
    channel_order: str = "RGB"
    frame_rate: float | None = None

    @classmethod
    def default(cls, channels: int) -> "Preprocessing":
        """-1 .. 1, as the paper's code and all the TensorFlow weights have it; two channels are flow x, y."""
        return cls((127.5,) * channels, (127.5,) * channels, "XY" if channels == 2 else "RGB")

    def to_dict(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
