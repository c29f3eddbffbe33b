"""Gated axial attention against the equation written out, and the cutting into patches."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from pitflow.segment.networks.axial import (
    GatedAxialAttention,
    MedTConfig,
    cut_patches,
    join_patches,
)


def test_one_line_is_equation_4_written_out() -> None:
    torch.manual_seed(0)
    attention = GatedAxialAttention(4, 1, 3, -1).double().eval()
    features = torch.randn(1, 4, 1, 6, dtype=torch.double)
    with torch.no_grad():
        answer = attention(features)[0, :, 0]
        query, key, value = attention.qkv(features)[0, :, 0].split((2, 2, 4))
        to_query, to_key, content, place = attention.gates
        for i in range(6):
            codes = [
                attention.positions[:, max(-2, min(2, j - i)) + 2].split((2, 2, 4))
                for j in range(6)
            ]
            alike = torch.stack(
                [
                    query[:, i] @ key[:, j]
                    + to_query * (query[:, i] @ codes[j][0])
                    + to_key * (key[:, j] @ codes[j][1])
                    for j in range(6)
                ]
            )
            weight = (alike / 2**0.5).softmax(0)
            expected = sum(
                weight[j] * (content * value[:, j] + place * codes[j][2]) for j in range(6)
            )
            torch.testing.assert_close(answer[:, i], expected)


def test_the_other_axis_is_the_same_turned() -> None:
    torch.manual_seed(0)
    along, down = (GatedAxialAttention(8, 2, 4, axis).eval() for axis in (-1, -2))
    down.load_state_dict(along.state_dict())
    features = torch.randn(2, 8, 5, 7)
    with torch.no_grad():
        turned = down(features.transpose(-2, -1)).transpose(-2, -1)
        torch.testing.assert_close(along(features), turned)


def test_lines_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    attention = GatedAxialAttention(4, 1, 4, -1).eval()
    features = torch.randn(1, 4, 3, 5)
    changed = features.clone()
    changed[:, :, 1] += 1
    with torch.no_grad():
        differs = (attention(features) != attention(changed)).any(dim=1)[0]
    assert differs[1].any()
    assert not differs[[0, 2]].any()


def test_patches_are_joined_as_they_were_cut() -> None:
    images = torch.arange(2 * 3 * 8 * 12.0).reshape(2, 3, 8, 12)
    patches = cut_patches(images, 4)
    assert patches.shape == (32, 3, 2, 3)
    assert torch.equal(patches[5], images[0, :, 2:4, 3:6])
    assert torch.equal(join_patches(patches, 4), images)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="heads"):
        MedTConfig(width=12, heads=4)
