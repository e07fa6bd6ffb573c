"""The whole detector at toy size."""

import math

import pytest
import torch

import backbones
from detect.d2 import HAS_DETECTRON2, Instances
from detect.modeling import build_model
from detect.utils.checkpoint_files import CheckpointError
from tests.tiny import built, clip_item, tiny_cfg

LOSSES = {"loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg"}


def assert_same(a: Instances, b: Instances):
    torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(a.scores, b.scores, rtol=1e-4, atol=1e-5)
    assert torch.equal(a.pred_classes, b.pred_classes)


def assert_untrained(losses):
    """With outputs near 0 an anchor costs log 2, a region of 3 classes and the background log 4."""
    assert losses.keys() == LOSSES and all(v.ndim == 0 for v in losses.values())
    assert float(losses["loss_rpn_cls"].detach()) == pytest.approx(math.log(2), abs=0.05)
    assert float(losses["loss_cls"].detach()) == pytest.approx(math.log(4), abs=0.1)
    assert 0 <= float(losses["loss_rpn_loc"].detach()) < 1 and 0 <= float(losses["loss_box_reg"].detach()) < 5


@pytest.mark.parametrize("name", ["i3d", "i2d", "s3d", "s3dg", "fast_s3d", "top_heavy_i3d_7"])
def test_every_network_trains_and_detects(name):
    cfg, model = built("MODEL.CONTEXT.NAME", name)
    losses = model([clip_item(cfg), clip_item(cfg, seed=1)])
    assert_untrained(losses)
    sum(losses.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    with torch.no_grad():
        output = model.eval()([clip_item(cfg)])[0]
    found, regions = output["instances"], len(output["proposals"])
    assert found.image_size == (96, 128) and 0 < regions <= cfg.MODEL.RPN.POST_NMS_TOPK_TEST
    assert 0 < len(found) <= 3 * regions
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert set(found.pred_classes.tolist()) <= {0, 1, 2} and 0.1 < float(found.scores.mean()) < 0.4  # about 1 / 4


def test_every_tap():
    for number, tap in enumerate(backbones.ENDPOINTS[3:], 4):
        cfg, model = built("MODEL.CONTEXT.TAP", tap)
        names = [[name for name, _ in part.named_children()] for part in (model.context, model.roi_heads.tail)]
        assert names == [list(backbones.ENDPOINTS[:number]), list(backbones.ENDPOINTS[number:])]
        with torch.no_grad():
            assert_untrained(model([clip_item(cfg)]))


def test_joint_training_reaches_both_branches_and_reduces_the_losses():
    cfg, model = built("MODEL.CONTEXT.NAME", "i3d", "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 16)
    batch = [clip_item(cfg), clip_item(cfg, boxes=((20.0, 4.0, 60.0, 30.0),), classes=(2,), seed=1)]
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    rows = []
    for _ in range(18):
        losses = model(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        rows.append({name: float(loss.detach()) for name, loss in losses.items()})
    for name, share in (("loss_rpn_cls", 0.2), ("loss_rpn_loc", 0.6), ("loss_cls", 0.6)):
        assert sum(row[name] for row in rows[-3:]) / 3 < share * rows[0][name], name


def test_a_batch_of_two_equals_two_batches_of_one():
    cfg, model = built()
    items = [clip_item(cfg), clip_item(cfg, seed=1, height=240, width=320)]
    model.eval()
    with torch.no_grad():
        together, alone = model(items), [model([item])[0] for item in items]
    for a, b in zip(together, alone, strict=True):
        assert_same(a["instances"], b["instances"])


def test_clips_without_ground_truth():
    cfg, model = built()
    empty = clip_item(cfg, (), ())
    losses = model([empty])
    assert_untrained(losses)  # 32 anchors and 8 regions, all negative
    assert float(losses["loss_rpn_loc"].detach()) == float(losses["loss_box_reg"].detach()) == 0.0
    sum(losses.values()).backward()
    silent = {n for n, p in model.named_parameters() if p.grad is not None and not p.grad.any()}
    assert silent == {f"roi_heads.bbox_pred.{n}" for n in ("weight", "bias")} | {
        f"proposal_generator.rpn_head.anchor_deltas.{n}" for n in ("weight", "bias")
    }
    assert all(p.grad is not None for p in model.parameters())
    losses = model([empty, clip_item(cfg)])
    assert_untrained(losses)
    assert float(losses["loss_rpn_loc"].detach()) > 0


def test_bfloat16_autocast_gives_nearly_the_losses_and_the_last_layers_gradients():
    # every anchor and region is taken; through deep batch normalisation at this size gradients differ by more
    cfg, model = built("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 100, "MODEL.RPN.BATCH_SIZE_PER_IMAGE", 200)
    losses, gradients = [], []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found = model([clip_item(cfg)])
        sum(found.values()).backward()
        losses.append({name: float(loss.detach()) for name, loss in found.items()})
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    assert losses[1] == pytest.approx(losses[0], rel=0.02, abs=1e-3)
    assert all(torch.isfinite(gradient).all() for gradient in gradients[1].values())
    for name in ("proposal_generator.rpn_head.anchor_deltas.weight", "roi_heads.cls_score.weight"):
        cosine = torch.cosine_similarity(gradients[0][name].flatten(), gradients[1][name].flatten(), 0)
        assert float(cosine) > 0.98, name


def test_no_proposals():
    alike = ("MODEL.RPN.BATCH_SIZE_PER_IMAGE", 200)  # all anchors, so that nothing is drawn
    cfg, model = built("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 1000, "MODEL.ROI_HEADS.PROPOSAL_APPEND_GT", False, *alike)
    losses, usual = model([clip_item(cfg)]), built(*alike)[1]([clip_item(cfg)])
    assert float(losses["loss_cls"].detach()) == float(losses["loss_box_reg"].detach()) == 0.0
    for name in ("loss_rpn_cls", "loss_rpn_loc"):  # the proposal network learns as ever
        torch.testing.assert_close(losses[name], usual[name])
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())  # or several processes would wait for ever
    assert not any(p.grad.any() for part in (model.context, model.roi_heads) for p in part.parameters())
    output = model.eval()([clip_item(cfg)])[0]["instances"]
    assert len(output) == 0 and output.pred_boxes.tensor.shape == (0, 4)


def test_clips_of_one_frame():
    cfg, model = built("INPUT.NUM_FRAMES", 1)
    assert_untrained(model([clip_item(cfg)]))
    # without temporal kernels a video that stands still is its one frame
    cfg, model = built("MODEL.CONTEXT.NAME", "i2d")
    item = clip_item(cfg)
    clips = (item["clip"][4:5], item["clip"][4:5].expand(8, -1, -1, -1))
    with torch.no_grad():
        one, still = (model.eval()([{**item, "clip": clip}])[0]["instances"] for clip in clips)
    assert len(one) > 0
    assert_same(one, still)


def test_boxes_come_back_in_the_original_frame():
    cfg, model = built()
    item = clip_item(cfg)
    twice = {**item, "height": 2 * 96, "width": 3 * 128}
    with torch.no_grad():
        a, b = (model.eval()([x])[0]["instances"].pred_boxes.tensor for x in (item, twice))
    torch.testing.assert_close(a * torch.tensor([3.0, 2.0, 3.0, 2.0]), b)
    assert (a >= 0).all() and (a[:, 2] <= 128).all() and (a[:, 3] <= 96).all()


def test_keyframe_and_context_see_what_they_should():
    cfg, model = built("MODEL.CONTEXT.PIXEL_MEAN", [127.5] * 3)
    clip = torch.zeros(1, 8, 48, 64, 3, dtype=torch.uint8)
    clip[:, 4, ..., 0], clip[:, 4, ..., 1] = 255, 100
    keyframe = model.keyframes(clip, [{}]).tensor
    # (255 - 123.675) / 58.395 in red, (100 - 116.28) / 57.12 in green
    torch.testing.assert_close(keyframe[0, :2, 0, 0], torch.tensor([2.2489, -0.28501]), rtol=1e-4, atol=1e-4)
    context = model.normalised(clip)
    assert context.shape == (1, 3, 8, 48, 64) and context.is_contiguous(memory_format=torch.channels_last_3d)
    assert context[0, 0, 4].unique().tolist() == [1.0] and context[0, :, 3].unique().tolist() == [-1.0]


def test_bgr_keyframes_for_detectron2_weights():
    _, model = built("INPUT.FORMAT", "BGR", "MODEL.PIXEL_MEAN", [1.0, 2.0, 3.0], "MODEL.PIXEL_STD", [1.0, 1.0, 1.0])
    clip = torch.tensor([10, 20, 30], dtype=torch.uint8).expand(1, 8, 48, 64, 3)
    assert model.keyframes(clip, [{}]).tensor[0, :, 0, 0].tolist() == [29.0, 18.0, 7.0]


def test_clips_of_different_sizes_are_refused():
    cfg, model = built()
    other = {**clip_item(cfg), "clip": torch.zeros(8, 32, 64, 3, dtype=torch.uint8)}
    with pytest.raises(ValueError, match=r"one shape.*\(8, 32, 64, 3\)"):
        model([clip_item(cfg), other])


def test_frozen_statistics_and_frozen_stages():
    cfg, model = built(
        "MODEL.CONTEXT.NORM", "FrozenBN", "MODEL.CONTEXT.FREEZE_AT", "conv2d_2c_3x3", "MODEL.BACKBONE.FREEZE_AT", 2
    )
    held = ("context", "tail", "trunk.bn1", "trunk.layer1")
    before = {k: v.clone() for k, v in model.named_buffers() if any(name in k for name in held)}
    sum(model.train()([clip_item(cfg)]).values()).backward()
    assert all(torch.equal(v, before[k]) for k, v in model.named_buffers() if k in before)
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert "context.conv2d_2c_3x3.spatial.conv.weight" in frozen and "backbone.trunk.layer1.0.conv1.weight" in frozen
    assert (
        "context.mixed_3b.branch_0.spatial.conv.weight" not in frozen
        and "backbone.trunk.layer2.0.conv1.weight" not in frozen
    )


def test_context_weights_come_from_a_classifier_of_other_classes(tmp_path):
    classifier = backbones.build("s3dg", width=0.125, num_classes=400)
    path = tmp_path / "kinetics.pth"
    torch.save({"model": classifier.state_dict()}, path)
    _, model = built("MODEL.CONTEXT.WEIGHTS", str(path))
    torch.testing.assert_close(
        model.context.mixed_3b.branch_1[0].conv.weight, classifier.stages.mixed_3b.branch_1[0].conv.weight
    )
    torch.testing.assert_close(
        model.roi_heads.tail.mixed_5c.branch_0.gate.fc.weight, classifier.stages.mixed_5c.branch_0.gate.fc.weight
    )
    with pytest.raises(
        CheckpointError, match="kinetics.pth is not a checkpoint of this context network.*MODEL.CONTEXT.NAME"
    ):
        built("MODEL.CONTEXT.WEIGHTS", str(path), "MODEL.CONTEXT.NAME", "i3d")


def test_keyframe_weights_come_from_torchvision(tmp_path):
    import torchvision

    resnet = torchvision.models.resnet18()
    path = tmp_path / "resnet18.pth"
    torch.save(resnet.state_dict(), path)
    for norm in ("FrozenBN", "BN"):
        _, model = built("MODEL.BACKBONE.WEIGHTS", str(path), "MODEL.RESNETS.NORM", norm)
        x = torch.randn(1, 3, 48, 64)
        resnet.eval(), model.eval()
        expected = resnet.layer3(resnet.layer2(resnet.layer1(resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(x)))))))
        torch.testing.assert_close(model.backbone(x)["res4"], expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(
        CheckpointError, match=r"resnet18.pth does not fit the keyframe network(.|\n)*MODEL.RESNETS.DEPTH"
    ):
        built("MODEL.BACKBONE.WEIGHTS", str(path), "MODEL.RESNETS.DEPTH", 50)
    path.write_bytes(path.read_bytes()[:1000])
    for key in ("MODEL.BACKBONE.WEIGHTS", "MODEL.CONTEXT.WEIGHTS"):
        with pytest.raises(CheckpointError, match="resnet18.pth: not a checkpoint, or damaged"):
            built(key, str(path))
    assert build_model(tiny_cfg("MODEL.BACKBONE.WEIGHTS", str(path)), initial_weights=False)


def test_stride_in_1x1_moves_the_stride():
    from backbones.resnet import ResNetTrunk

    trunk = ResNetTrunk(50, stride_in_1x1=True)
    assert trunk.layer3[0].conv1.stride == (2, 2) and trunk.layer3[0].conv2.stride == (1, 1)
    assert trunk(torch.randn(1, 3, 64, 80)).shape == (1, 1024, 4, 5)
    with pytest.raises(ValueError, match="depth 20"):
        ResNetTrunk(20)


def test_unknown_components_are_named():
    for key, name in (("MODEL.BACKBONE.NAME", "build_resnet_backbone"), ("MODEL.PROPOSAL_GENERATOR.NAME", "RPN")):
        if HAS_DETECTRON2:
            pytest.skip("Detectron2 registers these")
        with pytest.raises(ValueError, match=f"'{name}', which is not registered.*Detectron2"):
            built(key, name)
