"""What is simulated: one frozen model, unknown keys refused."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pitflow.config import Model

Law = Literal["growth", "vonmises", "uniform"]
Defocus = Literal["gaussian", "disc", "ring"]
Codec = Literal["mjpeg", "ffv1", "raw", "h264", "tiff"]

MAX_SIDE_PX = 8192


class PitGrowthConfig(Model):
    """How pits are placed and grow."""

    onset_share: float = Field(
        0.25, ge=0, le=1, description="onsets are spread over this first share of the recording"
    )
    area_px_per_frame: float = Field(
        12.0, gt=0, description="mean area that a stable pit gains per frame, px^2"
    )
    metastable_share: float = Field(
        0.2, ge=0, le=1, description="share of pits that stop growing before the end"
    )
    clustered_share: float = Field(
        0.5, ge=0, le=1, description="share of pits that stand close to another"
    )
    directedness: float = Field(
        2.5, ge=0, description="concentration of a frame's growth about its direction; 0: all round"
    )
    wander_deg: float = Field(
        60.0, ge=0, description="spread of the growth direction about the pit's own, deg"
    )
    wander_frames: float = Field(
        12.0, gt=0, description="correlation time of the growth direction, frames"
    )
    lace: float = Field(
        0.5, ge=0, le=1, description="how much of the rim is a perforated cover; 0: solid pits"
    )


class MotionConfig(Model):
    """How particles move over the steel."""

    speed_px: float = Field(5.0, gt=0, description="mean speed at the pit's centre, px/frame")
    slow_down_px: float = Field(
        80.0, gt=0, description="the flow has halved at this distance from the pit's centre, px"
    )
    reach_px: float = Field(
        400.0,
        gt=0,
        description="decay length of a pit's flow, which bends the tracks of others, px",
    )
    speed_spread: float = Field(0.2, ge=0, le=1, description="spread of log speed among particles")
    jitter_px: float = Field(0.12, ge=0, description="random step per frame and axis, px")
    flight_frames: float = Field(70.0, ge=2, description="mean time from departure to landing")
    height_um: float = Field(12.0, ge=0, description="mean greatest height above the steel, um")
    burst_share: float = Field(
        0.2, ge=0, le=1, description="share of the particles headed for a near pit that it draws in"
    )
    stray_burst_share: float = Field(
        0.0, ge=0, le=1, description="share of particles with a burst of speed at a random moment"
    )
    burst_factor: float = Field(4.0, gt=1, description="speed during a burst over speed before it")
    field_particles: float = Field(
        10.0, ge=0, description="mean number of particles per frame that come from no pit in view"
    )


class OpticsConfig(Model):
    """How a particle looks: sigma^2 = sigma0^2 + (k z)^2, darkness conserved."""

    sigma0_px: float = Field(0.9, ge=0.5, description="blur in focus (Gaussian sigma), px")
    k_px_per_um: float = Field(0.25, ge=0, description="blur per height, px/um")
    defocus: Defocus = Field(
        "gaussian",
        description="shape of what is out of focus, of equal standard deviation along an axis: "
        "gaussian, disc (flat) or ring (twice as dark at the rim as in the middle)",
    )
    radius_px: float = Field(1.6, gt=0, le=20, description="median radius of a particle, px")
    radius_spread: float = Field(0.4, ge=0, le=1.5, description="spread of the log radius")
    opacity: tuple[float, float] = Field(
        (0.45, 0.85), description="range of a particle's darkening where it covers the steel"
    )

    @model_validator(mode="after")
    def _opacity_is_a_range(self) -> Self:
        low, high = self.opacity
        if not 0 < low <= high <= 1:
            raise ValueError("opacity is a range (low, high) with 0 < low <= high <= 1")
        return self


class SteelConfig(Model):
    """The polished surface and its light."""

    brightness: float = Field(
        0.83, gt=0.05, le=1, description="steel, as a share of the camera's range"
    )
    scratch_deg: float = Field(29.0, description="direction of the polishing scratches, deg")
    scratches: float = Field(1.0, ge=0, description="strength of the scratches and grain")
    specks_per_mpx: float = Field(
        450.0, ge=0, description="static dark specks per million pixels of steel"
    )
    shading: float = Field(
        0.1, ge=0, lt=1, description="fall of the light across the frame, as a share"
    )


class CameraConfig(Model):
    """Light and stage over time."""

    gain_drift: float = Field(0.015, ge=0, lt=1, description="slow change of brightness, share")
    flicker: float = Field(0.002, ge=0, lt=1, description="change of brightness per frame, share")
    drift_px: float = Field(2.0, ge=0, description="slow drift of the stage over the recording, px")
    shake_px: float = Field(0.0, ge=0, description="random displacement of each frame, px")


class SimulateConfig(Model):
    """Everything that makes a simulated recording, but its seed."""

    frames: int = Field(300, ge=1, description="number of frames")
    height: int = Field(2252, ge=16, le=MAX_SIDE_PX, description="rows, px")
    width: int = Field(2240, ge=16, le=MAX_SIDE_PX, description="columns, px")
    fps: float = Field(15.0, gt=0, description="frames per second")
    um_per_px: float = Field(0.48, gt=0, description="size of a pixel, um")
    pits: int = Field(8, ge=0, le=1000, description="number of pits")
    rate: float = Field(0.3, ge=0, description="particles per pit per frame, once it is active")
    law: Law = Field(
        "growth",
        description="departure angles: growth (they follow its direction), vonmises (about a fixed "
        "direction of each pit) or uniform",
    )
    lag: int = Field(10, ge=0, description="departures follow growth by this many frames")
    preference: float = Field(
        4.0, ge=0, description="von Mises concentration (kappa) of the departure angles"
    )
    preferred_deg: float | None = Field(
        None, description="direction preferred by all pits (law vonmises); None: each pit its own"
    )
    noise: float = Field(
        2.6, ge=0, description="camera noise on bright steel, in grey levels of 256"
    )
    codec: Codec | None = Field(
        None,
        description="mjpeg, ffv1, raw, h264 or tiff (a folder or a .zip); None: by the file's name",
    )
    bits: Literal[8, 16] = Field(8, description="bits per pixel")
    growth: PitGrowthConfig = PitGrowthConfig()
    motion: MotionConfig = MotionConfig()
    optics: OpticsConfig = OpticsConfig()
    steel: SteelConfig = SteelConfig()
    camera: CameraConfig = CameraConfig()
