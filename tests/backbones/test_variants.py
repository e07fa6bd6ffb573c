"""The rows, and what a wrong field says."""

import pytest

import backbones
from backbones import VariantSpec
from backbones.variants import ALL_UNITS, VARIANTS


@pytest.mark.parametrize(
    "field, value, text",
    [
        ("stem", "2d", "stem is '2d'; it must be one of joint, separable, space_to_depth"),
        ("padding", "valid", "padding is 'valid'; it must be one of same, symmetric"),
        ("gate_placement", "stage", "gate_placement is 'stage'; it must be one of temporal, branch"),
        ("temporal_init", "zeros", "temporal_init is 'zeros'; it must be one of identity, random"),
        ("temporal_units", [3, 11], r"temporal_units has \[11\]; the units are 0 to 10"),
        ("gated_units", (-1,), r"gated_units has \[-1\]; the units are 0 to 10"),
        ("head_window", (2,), r"head_window is \(2,\); it is two sizes"),
        ("head_window", (2, -7), r"head_window is \(2, -7\); it is two sizes"),
    ],
)
def test_illegal_value_names_the_legal_ones(field, value, text):
    with pytest.raises(ValueError, match=text):
        VariantSpec(separable=True, **{field: value})
    with pytest.raises(ValueError, match=text):
        backbones.build("s3d", width=0.125, **{field: value})


def test_lists_become_tuples():
    spec = VariantSpec(separable=True, temporal_units=[0, 1], gated_units=[], head_window=[0, 0])  # as YAML has them
    assert (spec.temporal_units, spec.gated_units, spec.head_window) == ((0, 1), (), (0, 0))
    assert hash(spec)


def test_unknown_network_and_field():
    with pytest.raises(ValueError, match="unknown network 's3d_g'; did you mean .*s3dg"):
        backbones.build("s3d_g")
    with pytest.raises(ValueError, match="unknown field 'gates' of a network; the fields are .*gated_units"):
        backbones.build("s3d", gates=True)


def test_family_is_complete():
    for family in ("i3d", "s3d"):
        for k in range(11):
            assert VARIANTS[f"bottom_heavy_{family}_{k}"].temporal_units == ALL_UNITS[:k]
            assert VARIANTS[f"top_heavy_{family}_{k}"].temporal_units == ALL_UNITS[k:]
    assert set(backbones.names()) == set(VARIANTS) and VARIANTS["s3dg"].gated_units == ALL_UNITS
