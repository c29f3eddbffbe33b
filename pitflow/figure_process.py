"""A second process that draws figures of the report while the first draws the others.

Matplotlib draws on one core at a time. The process is started while tables are still being made, so
that it has its libraries loaded when it is first asked; it opens the run itself.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pitflow.report.page import Shown


class FigureProcess:
    """Draws figures of a run, once started; whatever goes wrong there, the answer is None.

    Parameters
    ----------
    run:
        The run directory, whose tables are complete when a figure is asked for.
    patience_s:
        A figure that takes longer than this is given up, and the process with it.
    """

    def __init__(self, run: Path, patience_s: float = 300.0) -> None:
        self._run, self._patience_s = run, patience_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> FigureProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            # What was still to be sent to it may be lost.
            with suppress(OSError):
                self._process.communicate()

    def start(self) -> None:
        """Start the process, unless it has been."""
        if self._process is not None:
            return
        # Where no further process is to be had, this one draws all figures.
        with suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._run)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )

    def draw(self, number: int) -> Shown | None:
        """Return a figure of the report (from 1, in reading order), its files written."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        # Ended, it answers that there is no more.
        watch = threading.Timer(self._patience_s, process.kill)
        watch.start()
        try:
            process.stdin.write(f"{number}\n".encode())
            process.stdin.flush()
            shown: Shown = pickle.load(process.stdout)
        except Exception:
            # Half an answer can raise anything, and what followed would not be the next one.
            process.kill()
            return None
        finally:
            watch.cancel()
        return shown


def serve(folder: Path) -> None:
    """Draw the figures whose numbers come line by line, until there is none."""
    from pitflow.report.page import draw_figure
    from pitflow.stages.job import finished_job
    from pitflow.stages.report import report_data

    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    data = None
    for line in sys.stdin:
        if data is None:
            data = report_data(finished_job(folder))
        pickle.dump(draw_figure(data, int(line), folder / "figures"), answers)
        answers.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
