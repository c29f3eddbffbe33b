"""What a run reads beside the recording: the segmenter's model and a potentiostat's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pitflow.config import Config
from pitflow.errors import UserError
from pitflow.provenance import content_hash, select

if TYPE_CHECKING:
    import pandas as pd

    from pitflow.acquire.source import Source


def lasting(config: Config) -> Config:
    """Return parameters that mean the same model and file wherever they are read again."""
    from pitflow.domains.included import lasting_name

    unet, current = config.segment.unet, config.measure.current
    unet = unet.model_copy(update={"model": lasting_name(unet.model)})
    if current.file is not None:
        current = current.model_copy(update={"file": str(Path(current.file).resolve())})
    return config.model_copy(
        update={
            "segment": config.segment.model_copy(update={"unet": unet}),
            "measure": config.measure.model_copy(update={"current": current}),
        }
    )


def segmenter_read(config: Config) -> dict[str, Any]:
    """Return the parameters of the segmenter that is used, and the card of its model if it has one.

    Raises
    ------
    UserError
        If the model is missing or damaged.
    """
    name = config.segment.segmenter
    read: dict[str, Any] = {"parameters": select(config, f"segment.{name}")}
    if name == "unet":
        from pitflow.domains.included import find_model
        from pitflow.segment.checkpoint import read_card

        # It holds the hash of the weights.
        card = read_card(find_model(config.segment.unet.model))
        read["model"] = card.model_dump(mode="json")
    return read


def current_file(config: Config) -> dict[str, str]:
    """Return a hash of the potentiostat's file, where there is one.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    file = config.measure.current.file
    return {} if file is None else {"current": content_hash(Path(file))}


def read_current_of(config: Config, source: Source) -> pd.DataFrame | None:
    """Return what the potentiostat measured, on the recording's clock; None without its file.

    It is read before hours are spent on the frames.

    Raises
    ------
    UserError
        If it cannot be read, lacks time or current, or none of it was measured during the frames
        analysed.
    """
    from pitflow.acquire.current import read_current

    current = config.measure.current
    if current.file is None:
        return None
    samples = read_current(Path(current.file), current)
    last = (config.acquire.stop or source.n_frames) - 1
    first_s, last_s = (source.index["time_s"].to_numpy()[at] for at in (config.acquire.start, last))
    begin, end = float(samples["time_s"].iloc[0]), float(samples["time_s"].iloc[-1])
    if end < first_s or begin > last_s:
        raise UserError(
            f"covers {begin:.1f} to {end:.1f} s of the recording's clock, and the frames "
            f"{first_s:.1f} to {last_s:.1f} s: no overlap in time",
            where=current.file,
            hint="give the offset between the clocks with --current-offset",
        )
    return samples
