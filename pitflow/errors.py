"""The one error that is shown to the user as a line, not as a traceback."""


class UserError(Exception):
    """Bad input: what is wrong, where, and what to do about it.

    The command line prints the message as one line and exits with code 2.

    Parameters
    ----------
    what:
        The fault, naming the bad value and the limit it breaks.
    where:
        The file, option or frame concerned.
    hint:
        What the user can do.
    """

    def __init__(self, what: str, *, where: object = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, str(where), hint
        line = f"{self.where}: {what}" if self.where else what
        super().__init__(f"{line}; {hint}" if hint else line)
