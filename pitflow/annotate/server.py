"""The page and its calls, served to this machine's own browser.

Bound to the loopback address; and since any page in the browser can send requests there, only those
that carry the token from the address that was printed are answered.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import pydantic

from pitflow.annotate.gestures import Desk, Gesture, Prompted
from pitflow.annotate.workspace import Item
from pitflow.config import AnyModel, Model
from pitflow.errors import UserError

LOOPBACK = "127.0.0.1"
_LARGEST_REQUEST = 4 << 20
_COLOURS = 250


class _Edit(Model):
    """What the page sends after a gesture."""

    tool: str
    points: tuple[tuple[float, float], ...]
    radius_px: float = 3.0
    label: int = 1
    erase: bool = False


class _Place(Model):
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A body and its type."""

    body: bytes
    kind: str = "application/json"


class Annotator:
    """Everything the page can ask for, one request at a time.

    Parameters
    ----------
    items:
        The images.
    prompted:
        Model behind the tool ``sam``, if there is one.
    """

    def __init__(self, items: Sequence[Item], prompted: Prompted | None = None) -> None:
        self._items, self._prompted = list(items), prompted
        self._lock = threading.Lock()
        self._open: tuple[int, Desk] | None = None

    def page(self) -> Answer:
        """Return the page."""
        text = files("pitflow.annotate").joinpath("page.html").read_bytes()
        return Answer(text, "text/html; charset=utf-8")

    def images(self) -> Answer:
        """Return the images' names, and whether each has labels."""
        return _json(
            {
                "images": [
                    {"name": item.name, "labelled": item.labels.exists()} for item in self._items
                ],
                "separate": any(item.separate for item in self._items),
                "sam": self._prompted is not None,
            }
        )

    def image(self, number: int) -> Answer:
        """Return an image as PNG."""
        with self._lock:
            return _png(self._desk(number).image)

    def labels(self, number: int) -> Answer:
        """Return an image's labels as 8-bit PNG: 0, or a colour's number from 1."""
        with self._lock:
            labels = self._desk(number).canvas.labels
            colours = np.where(labels > 0, (labels - 1) % _COLOURS + 1, 0).astype(np.uint8)
            return _png(colours)

    def state(self, number: int) -> Answer:
        """Return what the page shows in words."""
        with self._lock:
            return self._state(number)

    def edit(self, number: int, body: bytes) -> Answer:
        """Carry out a gesture and save."""
        gesture = Gesture(**_parsed(_Edit, body).model_dump())
        with self._lock:
            self._desk(number).do(gesture)
            return self._saved(number)

    def undo(self, number: int) -> Answer:
        """Take the last gesture back and save."""
        with self._lock:
            self._desk(number).canvas.undo()
            return self._saved(number)

    def redo(self, number: int) -> Answer:
        """Do again what was taken back, and save."""
        with self._lock:
            self._desk(number).canvas.redo()
            return self._saved(number)

    def label_at(self, number: int, body: bytes) -> Answer:
        """Return the number of the object at a place, 0 for none."""
        place = _parsed(_Place, body)
        with self._lock:
            labels = self._desk(number).canvas.labels
            row, column = round(place.y), round(place.x)
            inside = 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]
            return _json({"label": int(labels[row, column]) if inside else 0})

    def _desk(self, number: int) -> Desk:
        if self._open is None or self._open[0] != number:
            if not 0 <= number < len(self._items):
                raise UserError(f"there is no image {number}", hint=f"0 to {len(self._items) - 1}")
            item = self._items[number]
            image = item.read()
            canvas = item.open((image.shape[0], image.shape[1]))
            self._open = number, Desk(image, canvas, self._prompted)
        return self._open[1]

    def _saved(self, number: int) -> Answer:
        item, labels = self._items[number], self._desk(number).canvas.labels
        # A first gesture that found nothing says nothing of the image: training would take a file
        # of no labels for an image on which there is nothing.
        if labels.any() or item.labels.exists():
            item.save(labels)
        return self._state(number)

    def _state(self, number: int) -> Answer:
        desk = self._desk(number)
        canvas = desk.canvas
        item = self._items[number]
        return _json(
            {
                "undo": canvas.can_undo,
                "redo": canvas.can_redo,
                "area_px": int(np.count_nonzero(canvas.labels)),
                "objects": int(np.unique(canvas.labels[canvas.labels > 0]).size),
                "next_label": canvas.next_label,
                "note": desk.note,
                "file": item.labels.name,
                "saved": item.labels.exists(),
            }
        )


class Server(ThreadingHTTPServer):
    """An annotator on the loopback address.

    Parameters
    ----------
    annotator:
        What answers.
    port:
        0: a free one.

    Raises
    ------
    UserError
        If the port is taken.
    """

    daemon_threads = True

    def __init__(self, annotator: Annotator, port: int = 0) -> None:
        self.annotator = annotator
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({error.strerror})", hint="choose another --port"
            ) from error

    @property
    def address(self) -> str:
        """What to open in the browser."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    """Turns requests into calls of the annotator: ``/TOKEN/images/3/edit``."""

    server: Server

    def do_GET(self) -> None:
        self._answer(body=None)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_REQUEST:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        self._answer(body=self.rfile.read(length))

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep the terminal quiet."""

    def _answer(self, body: bytes | None) -> None:
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        token, _, path = self.path.partition("?")[0].lstrip("/").partition("/")
        # A page elsewhere can make the browser call here by a name of its own.
        if host not in (LOOPBACK, "localhost") or not secrets.compare_digest(
            token.encode(), self.server.token.encode()
        ):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        try:
            answer = self._called(path, body)
        except UserError as error:
            answer = _json({"error": str(error)})
            self._send(HTTPStatus.BAD_REQUEST, answer)
            return
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self._send(HTTPStatus.OK, answer)

    def _called(self, path: str, body: bytes | None) -> Answer | None:
        annotator = self.server.annotator
        if body is None and path == "":
            return annotator.page()
        if body is None and path == "images":
            return annotator.images()
        parts = path.split("/")
        if len(parts) != 3 or parts[0] != "images" or not parts[1].isdigit():
            return None
        number, verb = int(parts[1]), parts[2]
        if body is None:
            reading = {
                "image.png": annotator.image,
                "labels.png": annotator.labels,
                "state": annotator.state,
            }
            return reading[verb](number) if verb in reading else None
        if verb == "edit":
            return annotator.edit(number, body)
        if verb == "label":
            return annotator.label_at(number, body)
        writing = {"undo": annotator.undo, "redo": annotator.redo}
        return writing[verb](number) if verb in writing else None

    def _send(self, status: HTTPStatus, answer: Answer) -> None:
        self.send_response(status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(answer.body)


def _parsed(model: type[AnyModel], body: bytes) -> AnyModel:
    try:
        return model.model_validate_json(body)
    except pydantic.ValidationError as error:
        raise UserError(f"a request that cannot be read ({error.errors()[0]['msg']})") from error


def _json(value: dict[str, Any]) -> Answer:
    return Answer(json.dumps(value).encode())


def _png(image: Any) -> Answer:
    _, png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return Answer(png.tobytes(), "image/png")
