"""A pickle that would call a function when it is loaded, for tests that nothing is executed."""


class Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call
