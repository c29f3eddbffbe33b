"""Segment Anything (Kirillov et al. 2023) behind clicks and boxes, by the user's checkpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.errors import UserError
from pitflow.frame import Image

_KIND = re.compile(r"vit_[bhl]")


class SegmentAnything:
    """The model of a checkpoint such as ``sam_vit_b_01ec64.pth``.

    An image is encoded once, which takes seconds on a processor; each prompt then is quick.

    Parameters
    ----------
    checkpoint:
        Its name tells the size: vit_b, vit_l or vit_h.

    Raises
    ------
    UserError
        If the checkpoint cannot be read, its size is not told, or the package is missing.
    """

    def __init__(self, checkpoint: Path) -> None:
        kind = _KIND.search(checkpoint.name)
        if not checkpoint.is_file():
            raise UserError("no such file", where=checkpoint)
        if kind is None:
            raise UserError(
                "does not say which model it is",
                where=checkpoint,
                hint="its name must hold vit_b, vit_l or vit_h, as published",
            )
        try:
            from segment_anything import SamPredictor, sam_model_registry
        except ImportError as error:
            raise UserError(
                "Segment Anything is not installed", hint="pip install segment-anything"
            ) from error
        model = sam_model_registry[kind[0]]()
        model.load_state_dict(_weights(checkpoint))
        self._predictor = SamPredictor(model.eval())
        self._encoded: Image | None = None

    def segment(
        self,
        image: Image,
        box: tuple[slice, slice] | None,
        points: Sequence[tuple[float, float]],
    ) -> npt.NDArray[np.bool_]:
        """Return the object in a box, or at points on it, (height, width) bool.

        Parameters
        ----------
        image:
            uint8, grey or BGR.
        box:
            Rows and columns.
        points:
            (x, y) in px.
        """
        if self._encoded is not image:
            code = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
            self._predictor.set_image(cv2.cvtColor(image, code))
            self._encoded = image
        corners = box and np.array([box[1].start, box[0].start, box[1].stop - 1, box[0].stop - 1])
        masks, scores, _ = self._predictor.predict(
            point_coords=np.array(points, np.float64) if points else None,
            point_labels=np.ones(len(points), np.int64) if points else None,
            box=corners,
        )
        best: npt.NDArray[np.bool_] = np.asarray(masks[int(np.argmax(scores))], np.bool_)
        return best


def _weights(checkpoint: Path) -> dict[str, Any]:
    import torch

    try:
        # Weights only: a checkpoint is somebody else's pickle, which could run anything.
        weights: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"is not a checkpoint ({error})", where=checkpoint) from error
    return weights
