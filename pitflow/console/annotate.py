"""Labelling, from the terminal."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path


def serve(
    images: Sequence[Path],
    output: Path | None,
    sam: Path | None,
    port: int,
    *,
    instances: bool,
    browser: bool,
) -> None:
    """Serve the page until the user stops it."""
    from pitflow.annotate.server import Annotator, Server
    from pitflow.annotate.workspace import list_items
    from pitflow.console import print_note
    from pitflow.image_file import left_out
    from pitflow.output_folder import make_folder

    items = list_items(images, output, separate=instances)
    for said in left_out(images):
        print_note(said)
    for folder in {item.labels.parent for item in items}:
        make_folder(folder)
    prompted = None
    if sam is not None:
        from pitflow.segment.anything import SegmentAnything

        prompted = SegmentAnything(sam)
    with Server(Annotator(items, prompted), port) as server:
        sys.stdout.write(f"{server.address}\n")
        sys.stdout.flush()
        sys.stderr.write(f"{len(items)} images; open the address above; Ctrl-C ends\n")
        if browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stderr.write("pitflow: all labels are saved\n")
