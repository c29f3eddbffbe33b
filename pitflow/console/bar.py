"""Progress in the terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress


class Bar:
    """A progress bar per stage with the time left; on a terminal only, else a line per stage."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._rich = RichProgress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> Bar:
        self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._rich.stop()

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of ``total`` steps."""
        self._stage = stage
        self._task = self._rich.add_task(stage, total=total)

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""
        if self._task is not None:
            self._rich.advance(self._task, steps)

    def finish(self, message: str = "") -> None:
        """End the stage and say what came of it."""
        if self._task is not None:
            total = self._rich.tasks[self._task].total
            self._rich.update(self._task, completed=total)
        if message:
            # Names of files are no markup, and a terminal may be narrower than they are.
            self._rich.console.print(
                f"{self._stage:<10} {message}", highlight=False, markup=False, soft_wrap=True
            )
