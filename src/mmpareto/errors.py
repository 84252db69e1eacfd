"""The one exception type of the library."""


class MMParetoError(ValueError):
    """A request that cannot be carried out as stated.

    The message names the parameter, what is expected, what was found, and the remedy. It is raised
    before anything is changed: no ``.grad``, no file.
    """
