"""A window on the screen."""

import os
import re
import sys

import cv2
import numpy as np

from detect.utils.errors import UserError

_KEYS_THAT_CLOSE = (27, ord("q"), ord("Q"))  # 27 is Esc


class Window:
    """Shows RGB pictures (h, w, 3) uint8. UserError where OpenCV has no windows, or there is no screen."""

    def __init__(self, title: str):
        toolkit = re.search(r"GUI:\s+(\S+)", cv2.getBuildInformation())
        if toolkit is None or toolkit[1] == "NONE":
            raise UserError(
                "--show: this OpenCV is the headless one, which has no windows. Next: pip uninstall "
                "opencv-contrib-python-headless, then pip install opencv-contrib-python; or --output VIDEO"
            )
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise UserError("--show: there is no screen here (DISPLAY is not set); write a video with --output instead")
        self.title, self._open = title, False

    def show(self, picture: np.ndarray) -> bool:
        """Whether the window is still wanted: not after q, Esc, or its being closed."""
        if not self._open:
            cv2.namedWindow(self.title, cv2.WINDOW_NORMAL)
            cv2.resizeWindow(self.title, picture.shape[1], picture.shape[0])
            self._open = True
        cv2.imshow(self.title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(1) & 0xFF
        return key not in _KEYS_THAT_CLOSE and cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *_) -> None:
        if self._open:
            cv2.destroyWindow(self.title)
            self._open = False
