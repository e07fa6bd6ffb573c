"""Files by address: downloaded once into a cache, whole and checked, or not at all.

    https://..., http://...                        as it stands
    torchvision://S3D_Weights.KINETICS400_V1       the weights of torchvision's that have this name
    detectron2://ImageNetPretrained/...pkl         Detectron2's model zoo, in its own address scheme

The cache is the folder DETECT_CACHE, by default ~/.cache/action-detection.
"""

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from iopath.common.file_io import file_lock
from tqdm import tqdm

from detect.utils.errors import UserError
from detect.utils.files import hash_files, make_folder

DETECTRON2_ZOO = "https://dl.fbaipublicfiles.com/detectron2/"
ATTEMPTS = 4
TIMEOUT = 30.0  # seconds without a byte
WAIT = 1.0  # seconds before the second attempt, doubled for each further one
BLOCK = 1 << 20
REFUSED = (400, 401, 403, 404, 405, 410)  # asking again changes nothing
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # PyTorch's habit: the start of the file's sha256


class DownloadError(UserError, OSError):
    """An address that gives no file, or not the right one; the message names it and the reason."""


class _CutOff(OSError):
    """The connection ended before the file did."""


def is_address(path: str | os.PathLike) -> bool:
    return re.match(r"[a-z0-9]+://", os.fspath(path)) is not None


def local_file(path: str | os.PathLike) -> str:
    """The path itself, or of an address the path of its file in the cache, downloaded where it is not there yet.

    A download that is cut off goes on from where it was, four times at most; a file whose name carries the start of
    its sha256 is checked. DownloadError, and nothing in the cache, where it cannot be had.
    """
    path = os.fspath(path)
    if not is_address(path):
        return path
    url = _url(path)
    parts = urlsplit(url)
    name = Path(parts.path).name
    if parts.scheme not in ("http", "https") or not name:
        raise DownloadError(f"{path}: no such kind of address; they are https://, torchvision:// and detectron2://")
    folder = cache_folder() / (parts.netloc.replace(":", "_") + re.sub(r"[^\w.-]+", "_", str(Path(parts.path).parent)))
    target = make_folder(folder) / name
    if not target.exists():
        with file_lock(str(target)):  # of several processes the first one downloads
            if not target.exists():
                _download(url, target)
    return str(target)


def cache_folder() -> Path:
    return Path(os.environ.get("DETECT_CACHE") or Path.home() / ".cache" / "action-detection")


def torchvision_weights(address: str):
    """The weights that `torchvision://<Enum>.<NAME>` names; DownloadError lists the names where there are none."""
    from torchvision import models

    name = address.removeprefix("torchvision://")
    try:
        return models.get_weight(name)
    except (ValueError, KeyError):
        enum = name.partition(".")[0]
        known = sorted(str(weights) for model in models.list_models() for weights in models.get_model_weights(model))
        close = [weights for weights in known if weights.startswith(f"{enum}.")] or known
        raise DownloadError(
            f"{address}: torchvision has no such weights; it has {', '.join(close[:8])}{', ...' * (len(close) > 8)}"
        ) from None


def _url(address: str) -> str:
    if address.startswith("torchvision://"):
        return torchvision_weights(address).url
    if address.startswith("detectron2://"):
        return DETECTRON2_ZOO + address.removeprefix("detectron2://")
    return address


def _download(url: str, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    for attempt in range(ATTEMPTS):
        try:
            _append(url, part)
            break
        except urllib.error.HTTPError as error:
            reason, final = f"the server says {error.code} {error.reason}", error.code in REFUSED
            if error.code == 416:  # what was kept is no beginning of the file
                part.unlink(missing_ok=True)
        except urllib.error.URLError as error:
            reason, final = f"no connection ({error.reason})", False
        except (OSError, http.client.HTTPException) as error:
            reason, final = str(error) or type(error).__name__, False
        if final or attempt == ATTEMPTS - 1:
            raise DownloadError(f"{url}: cannot be downloaded: {reason}")
        time.sleep(WAIT * 2**attempt)
    _check_hash(url, part)
    os.replace(part, target)


def _append(url: str, part: Path) -> None:
    """Get what is missing in `part`. _CutOff if the server sent less than it said."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        have = have if answer.status == 206 else 0  # a server without ranges starts again
        length = answer.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        bar = tqdm(desc=part.stem, total=total, initial=have, unit="B", unit_scale=True, disable=None)
        with open(part, "ab" if have else "wb") as stream, bar:
            while block := answer.read(BLOCK):
                stream.write(block)
                bar.update(len(block))
            got = stream.tell()
    if total is not None and got < total:
        raise _CutOff(f"the connection was cut after {got} of {total} bytes")


def _check_hash(url: str, part: Path) -> None:
    match = HASH_IN_NAME.search(Path(urlsplit(url).path).name)
    if not match:
        return
    found = hash_files(part)
    if not found.startswith(match[1]):
        part.unlink()
        raise DownloadError(
            f"{url}: the file is damaged or another one: its sha256 starts with {found[:8]}, its name says {match[1]}"
        )
