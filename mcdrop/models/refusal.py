"""Why a file is not opened, on its way to the error that names the file."""

__all__ = ["Refused"]


class Refused(Exception):
    """Something in a file is not known to be data; the text says what, with "it" for the file."""
