"""Put figures of a run side by side for the README.

    python benchmarks/readme_picture.py clip.pitflow docs/images/overview.jpg

The figures are those of the run's report.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

ROWS = (("overview",), ("polar",), ("correlation",))
WIDTH_PX = 1200


def main() -> None:
    """Read the figures, stack them in rows of one width, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    rows = []
    for names in ROWS:
        images = [Image.open(options.run / "figures" / f"{name}.png") for name in names]
        height = min(image.height for image in images)
        images = [image.resize((image.width * height // image.height, height)) for image in images]
        row = Image.new("RGB", (sum(image.width for image in images), height), "white")
        left = 0
        for image in images:
            row.paste(image, (left, 0))
            left += image.width
        rows.append(row.resize((WIDTH_PX, row.height * WIDTH_PX // row.width), Image.LANCZOS))
    picture = Image.new("RGB", (WIDTH_PX, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height
    picture.save(options.out, quality=85, optimize=True)


if __name__ == "__main__":
    main()
