"""What can go wrong for a reason outside the program: one line for the user, and the exit code that tells the kind."""

FAILED, BAD_ARGUMENTS, BAD_INPUT, INTERRUPTED = 1, 2, 4, 5  # as exaconn's own (docs/cli.md)


class Problem(Exception):
    def __init__(self, code, what, hint=''):
        super().__init__(' '.join(f'{what}. Hint: {hint}'.split()) if hint else ' '.join(str(what).split()))
        self.code = code
