from __future__ import annotations

import errno
import json
import os
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import CHROMIUM, Browser

from pitflow.annotate.server import Annotator, Server
from pitflow.annotate.workspace import list_items
from pitflow.console.annotate import serve
from pitflow.domains.particles.pictures import read_pictures
from pitflow.errors import UserError

ROWS, COLUMNS = np.mgrid[:200, :300]
DISC = np.hypot(COLUMNS - 150, ROWS - 100) <= 40


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images: one with a dark disc of radius 40 in its middle, one of 16 bits with nothing."""
    folder = tmp_path / "photos"
    folder.mkdir()
    image = np.random.default_rng(1).normal(170, 4, (200, 300))
    image[DISC] -= 80
    cv2.imwrite(str(folder / "a.png"), image.clip(0, 255).astype(np.uint8))
    ramp = np.linspace(1000, 9000, 200 * 300).reshape(200, 300).astype(np.uint16)
    cv2.imwrite(str(folder / "b.tif"), ramp)
    return folder


@pytest.fixture
def server(photos: Path, tmp_path: Path) -> Iterator[Server]:
    with Server(Annotator(list_items([photos], tmp_path / "out"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: Server, path: str) -> bytes:
    with urllib.request.urlopen(server.address + path) as answer:
        body: bytes = answer.read()
        return body


def post(server: Server, path: str, body: Any = None) -> dict[str, Any]:
    request = urllib.request.Request(server.address + path, json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def test_every_gesture_is_saved_as_a_pair_that_training_reads(
    server: Server, tmp_path: Path
) -> None:
    assert [i["name"] for i in json.loads(get(server, "images"))["images"]] == ["a.png", "b.tif"]
    told = post(server, "images/0/edit", {"tool": "box", "points": [[100, 50], [200, 150]]})
    assert told["saved"]
    assert told["undo"]
    (picture,) = read_pictures([tmp_path / "out"])
    found = picture.truth["particle"]
    assert (found & DISC).sum() > 0.9 * (found | DISC).sum()
    assert (picture.frame == cv2.imread(str(tmp_path / "photos" / "a.png"), 0)).all()
    post(server, "images/0/undo")
    assert not read_pictures([tmp_path / "out"])[0].truth["particle"].any()
    post(server, "images/0/redo")
    assert told["area_px"] == read_pictures([tmp_path / "out"])[0].truth["particle"].sum()


def test_a_first_gesture_that_finds_nothing_labels_nothing(server: Server, tmp_path: Path) -> None:
    told = post(server, "images/1/edit", {"tool": "pencil", "points": [[9, 9]], "erase": True})
    assert (told["area_px"], told["saved"], told["undo"]) == (0, False, True)
    assert not (tmp_path / "out").exists()
    assert post(server, "images/1/edit", {"tool": "pencil", "points": [[9, 9]]})["saved"]
    told = post(server, "images/1/undo")
    assert (told["area_px"], told["saved"]) == (0, True)


def test_labels_survive_a_change_of_image_and_a_new_start(server: Server, photos: Path) -> None:
    post(server, "images/0/edit", {"tool": "pencil", "points": [[20, 20]], "radius_px": 5})
    before = get(server, "images/0/labels.png")
    shown = cv2.imdecode(np.frombuffer(get(server, "images/1/image.png"), np.uint8), -1)
    assert shown.dtype == np.uint8
    assert (shown.min(), shown.max()) == (0, 255)
    assert get(server, "images/0/labels.png") == before
    again = Annotator(list_items([photos], server.annotator._items[0].labels.parent))
    assert again.labels(0).body == before


def refusal(request: str | urllib.request.Request) -> tuple[int, bytes]:
    """Return status and body of a request that must fail."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as answer:
        return answer.code, answer.read()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("images/9/state", None),
        ("images/0/edit", b'{"tool": "axe", "points": [[1, 1]]}'),
        ("images/0/edit", b'{"tool": "pencil"}'),
        ("images/0/edit", b"no json"),
        ("images/0/label", b"[1, 2]"),
    ],
)
def test_a_bad_request_is_answered_in_one_line(
    server: Server, path: str, body: bytes | None
) -> None:
    code, said = refusal(urllib.request.Request(server.address + path, body))
    assert code == 400
    assert len(json.loads(said)["error"].splitlines()) == 1


def test_what_is_not_there_is_not_found(server: Server) -> None:
    assert refusal(server.address + "images/0/nothing")[0] == 404
    assert refusal(server.address + "../etc")[0] in (403, 404)


def test_only_the_page_with_the_token_is_answered(server: Server) -> None:
    own = f"http://127.0.0.1:{server.server_port}/"
    assert refusal(own)[0] == 403
    assert refusal(own + "wrong/images")[0] == 403
    elsewhere = urllib.request.Request(server.address, headers={"Host": "elsewhere.example"})
    assert refusal(elsewhere)[0] == 403


def test_the_port_is_the_machines_own(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(UserError, match="cannot be used"):
        Server(server.annotator, server.server_port)


def test_objects_keep_their_numbers(photos: Path) -> None:
    annotator = Annotator(list_items([photos], None, separate=True))
    for label, x in ((1, 30), (2, 90)):
        body = {"tool": "pencil", "points": [[x, 30]], "radius_px": 8, "label": label}
        annotator.edit(0, json.dumps(body).encode())
    saved = cv2.imread(str(photos / "a_labels.png"), cv2.IMREAD_UNCHANGED)
    assert saved.dtype == np.uint16
    assert (saved[30, 30], saved[30, 90], saved[100, 100]) == (1, 2, 0)
    assert json.loads(annotator.state(0).body)["next_label"] == 3
    assert json.loads(annotator.label_at(0, b'{"x": 90.2, "y": 29.7}').body) == {"label": 2}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: [folder / "nothing"], "no such file"),
        (lambda folder: [folder / "a.png", folder / "a.jpg"], "share its labels"),
        (lambda folder: [folder / "empty"], "no image"),
        (lambda folder: [folder / "clip.avi"], "is no image"),
        (lambda folder: [folder / "notes.png"], "not an image that can be read"),
    ],
)
def test_bad_input_is_refused(photos: Path, make: Any, says: str) -> None:
    (photos / "a.jpg").write_bytes((photos / "a.png").read_bytes())
    (photos / "empty").mkdir()
    (photos / "clip.avi").write_bytes(b"x")
    (photos / "notes.png").write_text("These are my notes of Tuesday.")
    with pytest.raises(UserError, match=says):
        list_items(make(photos), None)
    with pytest.raises(UserError, match="not a folder"):
        list_items([photos / "a.png"], photos / "clip.avi")


@pytest.mark.parametrize("output", ["locked", None])
def test_a_folder_that_cannot_be_written_to_is_told_before_the_page_is_served(
    photos: Path, monkeypatch: pytest.MonkeyPatch, output: str | None
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    out = None if output is None else photos / output
    with pytest.raises(UserError, match="not be written to"):
        serve([photos], out, None, 0, instances=False, browser=False)


def test_a_file_that_is_no_image_is_told_when_it_is_opened(photos: Path) -> None:
    (photos / "c.png").write_text("no image")
    annotator = Annotator(list_items([photos], None))
    with pytest.raises(UserError, match=r"c\.png.*no image"):
        annotator.image(2)


def test_labels_are_never_shared_with_another_image_of_the_same_name(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Annotator(list_items([photos], out)).edit(0, b'{"tool": "pencil", "points": [[9, 9]]}')
    assert len(list_items([photos], out)) == 2
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a.png", "a.tif"):
        cv2.imwrite(str(other / name), np.full((200, 300), 90, np.uint8))
        with pytest.raises(UserError, match=r"share its labels with .*out/a\.png"):
            list_items([other / name], out)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_gesture_is_for_the_image_that_was_shown(server: Server, tmp_path: Path) -> None:
    browser = Browser(tmp_path / "profile", server.address)
    try:
        browser.wait_for("typeof page !== 'undefined' && page.labels !== null")
        # The next image is asked for while an earlier gesture is at work, and the old one is shown.
        browser.evaluate(
            "page.busy = new Promise((done) => { window.go = done; }); open(1);"
            " change('edit', { tool: 'pencil', points: [[20, 20]] }); go(); page.busy"
        )
        assert (tmp_path / "out" / "a_mask.png").exists()
        assert not (tmp_path / "out" / "b_mask.png").exists()
        assert browser.evaluate("[page.number, page.images[0].labelled]") == [1, True]
    finally:
        browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_of_an_image_that_cannot_be_read_none_is_shown(photos: Path, tmp_path: Path) -> None:
    (photos / "c.png").write_text("no image")
    with Server(Annotator(list_items([photos], None))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        browser = Browser(tmp_path / "profile", server.address)
        try:
            browser.wait_for("typeof page !== 'undefined' && page.labels !== null")
            browser.evaluate("open(2)")
            assert browser.evaluate("page.image") is None
            told = "document.getElementById('error').textContent"
            assert "no image" in browser.evaluate(told)
            current = "document.querySelector('[aria-current=true]').textContent"
            assert browser.evaluate(current) == "c.png"
        finally:
            browser.close()
            server.shutdown()
            thread.join()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_labelling_in_the_browser(server: Server, tmp_path: Path) -> None:
    """Box, pencil, erasing, undo, zoom and the next image, with mouse and keys."""
    browser = Browser(tmp_path / "profile", server.address)
    try:
        browser.wait_for("typeof page !== 'undefined' && page.labels !== null")

        def on_screen(x: float, y: float) -> tuple[float, float]:
            left, top, scale, dx, dy = browser.evaluate(
                "(() => { const b = view.getBoundingClientRect();"
                " return [b.left, b.top, page.scale, page.x, page.y]; })()"
            )
            return left + dx + (x + 0.5) * scale, top + dy + (y + 0.5) * scale

        def settled() -> str:
            browser.evaluate("page.busy")
            assert browser.evaluate("document.getElementById('error').textContent") == ""
            said: str = browser.evaluate("document.getElementById('state').textContent")
            return said

        def mask() -> Any:
            return cv2.imread(str(tmp_path / "out" / "a_mask.png"), cv2.IMREAD_UNCHANGED) > 0

        browser.press("b")
        browser.drag([on_screen(x, y) for x, y in ((100, 50), (150, 90), (200, 150))])
        assert "saved in a_mask.png" in settled()
        assert (mask() & DISC).sum() > 0.9 * (mask() | DISC).sum()
        browser.press("p")
        browser.press("+")
        browser.drag([on_screen(x, 60) for x in (60, 70, 80)])
        settled()
        assert mask()[60, 60:81].all()
        browser.drag([on_screen(70, 60), on_screen(70, 60)], shift=True)
        settled()
        assert not mask()[60, 70]
        assert mask()[60, 60]
        browser.press("z", control=True)
        settled()
        assert mask()[60, 70]
        browser.screenshot(tmp_path / "page.png")
        assert cv2.imread(str(tmp_path / "page.png")).std() > 10
        browser.press("ArrowRight")
        assert "nothing saved yet" in settled()
        assert (
            browser.evaluate("document.querySelector('[aria-current=true]').textContent") == "b.tif"
        )
    finally:
        browser.close()
