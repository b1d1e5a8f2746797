"""A pseudo-terminal for the tests: typing, and waiting for what is shown."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time


class Terminal:
    """A program of a lab on a pseudo-terminal, and what it shows."""

    def __init__(self, lab, *command, rows=24, environment=None, cwd=None):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 200, 0, 0))
        self.name = os.ttyname(slave)
        self.modes = termios.tcgetattr(slave)[3]
        environment = {**os.environ, "TERM": "vt100", "LC_ALL": "C.UTF-8", **(environment or {})}
        self.process = lab.spawn(*command, stdin=slave, stdout=slave, stderr=slave, cwd=cwd,
                                 env=environment, start_new_session=True,
                                 preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.master = master
        self.seen = ""

    def type(self, text):
        self.seen = ""
        os.write(self.master, text.encode())

    def expect(self, wanted, seconds=20):
        """Everything since the last key, once `wanted` (a regular expression) is in it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(wanted, self.seen):
                return self.seen
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    data = os.read(self.master, 65536)
                except OSError:  # the other end has gone
                    data = b""
                if not data:
                    break
                self.seen += data.decode(errors="replace")
        if re.search(wanted, self.seen):
            return self.seen
        raise AssertionError(f"no {wanted!r} in {self.seen!r}")

    def say(self, line, prompt):
        self.type(line + "\r")
        return self.expect(prompt + r"$")

    def close(self):
        os.close(self.master)
