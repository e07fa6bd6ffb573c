"""Weights by address, against an HTTP server on loopback: cut connections, wrong hashes, absent files, no network."""

import hashlib
import http.server
import io
import pickle
import shutil
import threading

import numpy as np
import pytest
import torch
import torchvision

import backbones
from detect import VideoClassifier
from detect.config import load_cfg
from detect.data import synthetic
from detect.modeling import build_model
from detect.modeling.context import build_context_networks
from detect.modeling.context_weights import read_network
from detect.utils import download
from detect.utils.checkpoint_files import CheckpointError, read_arrays, read_checkpoint
from detect.utils.download import DownloadError, local_file, torchvision_weights
from tests.running import run_tool
from tests.tiny import OVERRIDES, tiny_cfg

CONTENT = bytes(range(256)) * 4000  # 1 MB


class Server:
    """Serves `files` {path: bytes}; `plan` says for each request in turn how many bytes are sent, None for all."""

    def __init__(self):
        self.files, self.plan, self.requests, self.ranges = {}, [], [], True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, self.headers.get("Range")))
                if self.path not in outer.files:
                    return self.send_error(404)
                content, start = outer.files[self.path], 0
                if outer.ranges and self.headers.get("Range"):
                    start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
                    if start >= len(content):
                        return self.send_error(416)
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                sent = outer.plan.pop(0) if outer.plan else None
                self.wfile.write(content[start:] if sent is None else content[start : start + sent])
                self.close_connection = True

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "WAIT", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    yield server
    server.stop()


def cached(tmp_path):
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file() and not path.name.endswith(".lock")]


def test_a_file_is_downloaded_once(server, tmp_path):
    server.files["/a/b.pth"] = CONTENT
    first, second = local_file(f"{server.url}/a/b.pth"), local_file(f"{server.url}/a/b.pth")
    assert first == second and open(first, "rb").read() == CONTENT and len(server.requests) == 1
    assert cached(tmp_path) == ["b.pth"]
    assert local_file("some/path.pth") == "some/path.pth"  # a path is left alone


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_taken_up_again(server, tmp_path, ranges):
    server.files["/b.pth"], server.plan, server.ranges = CONTENT, [100_000, 300_000], ranges
    assert open(local_file(f"{server.url}/b.pth"), "rb").read() == CONTENT
    starts = [asked for _, asked in server.requests]
    assert starts == [None, "bytes=100000-", "bytes=400000-" if ranges else "bytes=300000-"]
    assert cached(tmp_path) == ["b.pth"]


def test_a_connection_that_is_always_cut_is_one_error_and_the_next_call_goes_on(server, tmp_path):
    server.files["/b.pth"], server.plan = CONTENT, [1000] * 4
    with pytest.raises(DownloadError, match="b.pth: cannot be .* was cut after 4000 of 1024000"):
        local_file(f"{server.url}/b.pth")
    assert cached(tmp_path) == ["b.pth.part"]
    assert open(local_file(f"{server.url}/b.pth"), "rb").read() == CONTENT
    assert server.requests[-1][1] == "bytes=4000-"


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    server.files["/b.pth"] = CONTENT
    target = tmp_path / "cache" / server.url.removeprefix("http://").replace(":", "_")
    (folder := target.with_name(target.name + "_")).mkdir(parents=True)
    (folder / "b.pth.part").write_bytes(CONTENT + b"more")
    assert open(local_file(f"{server.url}/b.pth"), "rb").read() == CONTENT


def test_the_hash_in_the_name_is_checked(server, tmp_path):
    digest = hashlib.sha256(CONTENT).hexdigest()
    server.files = {f"/good-{digest[:8]}.pth": CONTENT, "/bad-0123abcd.pth": CONTENT}
    local_file(f"{server.url}/good-{digest[:8]}.pth")
    with pytest.raises(DownloadError, match=f"sha256 starts with {digest[:8]}, its name says 0123abcd"):
        local_file(f"{server.url}/bad-0123abcd.pth")
    assert cached(tmp_path) == [f"good-{digest[:8]}.pth"]


def test_what_is_not_there_is_asked_for_once(server, tmp_path):
    with pytest.raises(DownloadError, match="absent.pth: cannot be downloaded: the server says 404"):
        read_checkpoint(f"{server.url}/absent.pth")
    assert len(server.requests) == 1 and cached(tmp_path) == []


def test_no_network(server, tmp_path):
    server.stop()
    with pytest.raises(DownloadError, match=r"b.pth: cannot be downloaded: no connection \(.*refused\)"):
        local_file(f"{server.url}/b.pth")


def test_addresses_of_no_kind(server):
    for address in ("ftp://host/a.pth", "s3://bucket/a.pth", f"{server.url}/"):
        with pytest.raises(DownloadError, match="no such kind of address"):
            local_file(address)
    with pytest.raises(DownloadError, match="it has S3D_Weights.KINETICS400_V1"):
        local_file("torchvision://S3D_Weights.NONE")
    assert torchvision_weights("torchvision://ResNet50_Weights.IMAGENET1K_V1").url.endswith("resnet50-0676ba61.pth")


def test_a_cache_that_cannot_be_made(monkeypatch):
    monkeypatch.setenv("DETECT_CACHE", "/proc/none")
    with pytest.raises(ValueError, match="/proc/none/.*: this folder cannot be made"):
        local_file("http://127.0.0.1:1/a.pth")


@pytest.fixture
def published(server, monkeypatch):
    """torchvision's and Detectron2's addresses, with random weights behind them."""
    torch.manual_seed(0)
    s3d, resnet = torchvision.models.video.s3d(num_classes=400), torchvision.models.resnet18()
    urls = {}
    for name, model in (("S3D_Weights.KINETICS400_V1", s3d), ("ResNet18_Weights.IMAGENET1K_V1", resnet)):
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        path = f"/models/m-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
        server.files[path], urls[f"torchvision://{name}"] = buffer.getvalue(), server.url + path
    monkeypatch.setattr(download, "_url", urls.__getitem__)
    return s3d, resnet


def test_the_context_network_starts_from_torchvisions_weights_by_name(published):
    s3d, _ = published
    address = "torchvision://S3D_Weights.KINETICS400_V1"
    data = read_network(address)
    assert len(data["tag"]["classes"]) == 400 and data["tag"]["classes"][:2] == ["abseiling", "air drumming"]
    with pytest.raises(CheckpointError, match="MODEL.CONTEXT.NAME torchvision_s3d") as caught:
        build_context_networks(tiny_cfg("MODEL.CONTEXT.WEIGHTS", address, "MODEL.CONTEXT.WIDTH", 1.0))
    words = str(caught.value).split("set\n")[1].replace('"', "").split("MODEL.")[1:]
    lines = [part for word in words for part in f"MODEL.{word}".strip().split(" ", 1)]
    net = build_context_networks(
        tiny_cfg("MODEL.CONTEXT.WIDTH", 1.0, "MODEL.CONTEXT.OVERRIDES", {}, "MODEL.CONTEXT.WEIGHTS", address, *lines)
    ).trunks["rgb"]
    assert torch.equal(net.conv2d_1a_7x7.spatial.conv.weight, s3d.state_dict()["features.0.0.0.weight"])


def test_a_detector_trains_from_published_weights_in_one_command(published, tmp_path):
    """Two keys name the network and its weights; their normalisation comes along, into the config and the checkpoint,
    and into a run that is resumed, when the weights are not read again.
    """
    synthetic.write_dataset(tmp_path / "synthetic" / f"v{synthetic.VERSION}", num_train=1, num_test=1)
    words = [
        *OVERRIDES, "MODEL.ROI_HEADS.NUM_CLASSES", 6, "INPUT.SIZE", (36, 48), "SOLVER.MAX_ITER", 2,
        "DATASETS.TRAIN", ("synthetic_train",), "DATALOADER.NUM_WORKERS", 0, "SOLVER.IMS_PER_BATCH", 1,
        "SOLVER.CHECKPOINT_PERIOD", 1, "MODEL.CONTEXT.WIDTH", 1.0, "OUTPUT_DIR", tmp_path / "run",
        "MODEL.CONTEXT.NAME", "torchvision_s3d", "MODEL.CONTEXT.WEIGHTS", "torchvision://S3D_Weights.KINETICS400_V1",
    ]  # fmt: skip
    done = run_tool("train_net", *words, DETECT_DATASETS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    data = read_checkpoint(tmp_path / "run" / "model_final.pth")
    expected = [255 * v for v in (0.43216, 0.394666, 0.37645)]  # torchvision's transforms, of 0..1 values
    assert data["preprocessing"]["context"]["mean"] == pytest.approx(expected, rel=1e-5)
    assert load_cfg(tmp_path / "run" / "config.yaml").MODEL.CONTEXT.PIXEL_MEAN == pytest.approx(expected, rel=1e-5)
    assert data["config"] == (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "last_checkpoint").write_text("model_0000000.pth")
    shutil.rmtree(tmp_path / "cache")  # not needed again
    done = run_tool("train_net", "--resume", *words, DETECT_DATASETS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    again = read_checkpoint(tmp_path / "run" / "model_final.pth")
    assert again["preprocessing"] == data["preprocessing"] and again["config"] == data["config"]
    assert all(torch.equal(again["model"][key], data["model"][key]) for key in data["model"])


def test_a_classifier_of_torchvisions_weights_has_its_scores(published, tmp_path):
    classifier = VideoClassifier.load("torchvision://S3D_Weights.KINETICS400_V1", device="cpu")
    assert classifier.classes[0] == "abseiling" and classifier.network.spec.padding == "symmetric"
    assert isinstance(classifier.network, backbones.InceptionNet)
    statistics = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))  # of torchvision's transforms
    mean, std = (torch.tensor(values).reshape(3, 1, 1, 1) for values in statistics)
    frames = torch.randint(0, 256, (16, 224, 224, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = published[0].eval()(((frames.float() / 255).permute(3, 0, 1, 2) - mean)[None] / std).softmax(1)[0]
    plan = classifier.plan._replace(resize_to=(224, 224), chunk_frames=16)
    found = VideoClassifier(classifier.network, classifier.classes, plan).scores(frames.numpy())
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-3, atol=1e-5)


def test_the_keyframe_network_starts_from_torchvisions_weights_by_name(published):
    _, resnet = published
    address = "torchvision://ResNet18_Weights.IMAGENET1K_V1"
    model = build_model(tiny_cfg("MODEL.BACKBONE.WEIGHTS", address, "MODEL.RESNETS.NORM", "FrozenBN"))
    found = model.backbone.trunk.state_dict()
    assert torch.equal(found["layer2.0.conv1.weight"], resnet.state_dict()["layer2.0.conv1.weight"])


def test_detectron2s_scheme_keeps_the_files_name(server, monkeypatch):
    monkeypatch.setattr(download, "DETECTRON2_ZOO", f"{server.url}/zoo/")
    server.files["/zoo/ImageNetPretrained/R.pkl"] = pickle.dumps({"model": {"conv1.weight": np.ones(3)}})
    arrays, _ = read_arrays("detectron2://ImageNetPretrained/R.pkl")
    assert arrays["conv1.weight"].tolist() == [1, 1, 1]
