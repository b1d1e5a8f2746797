"""docs/TUTORIAL.md, typed into a shell and a console as it stands, and what they say compared."""

import contextlib
import os
import pathlib
import re
import signal
import time
import unittest

import umbra_lab
from terminal import Terminal

BUILD = os.environ["UMBRA_BUILD"]
TUTORIAL = pathlib.Path(__file__).resolve().parents[2] / "docs" / "TUTORIAL.md"
PROMPT = re.compile(r"^(\$ |hub(?:\([a-z-]+\))?#)(.*)$")
QUESTION = re.compile(r"^(% Do you accept this certificate\? \[yes/no\]: )(.*)$")
SECONDS = 60

# What is the reader's own, in the order it is looked for.
OWN = (
    (r"\[1\] \d+", "[1] N"),
    (r"certificate [0-9A-F]{2} of", "certificate NN of"),
    (r"\b[0-9A-F]{8}(?= |$)", "X"),
    (r"^\*?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3}: ", "TIME: "),
    (r"\*?\d\d:\d\d:\d\d(\.\d{3})? UTC ([A-Z][a-z]{2} )?[A-Z][a-z]{2} \d+ \d{4}", "TIME"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\| *(\d+d)?[ \d]\d:\d\d:\d\d\.\d{3}", "|SPAN"),
)


def steps_of(text):
    """(prompt, typed, [lines that follow]) of the blocks, answers to questions among them."""
    steps = []
    for block in re.findall(r"^```\n(.*?)^```$", text, re.S | re.M):
        for line in block.splitlines():
            found = PROMPT.match(line) or QUESTION.match(line)
            if found:
                steps.append((found.group(1), found.group(2), []))
            else:
                steps[-1][2].append(line)
    return steps


def plain(line):
    line = line.rstrip()
    for own, name in OWN:
        line = re.sub(own, name, line)
    return line


def agrees(said, wanted):
    """Line by line; `...` is any number of lines."""
    if not wanted:
        return not said
    if wanted[0] == "...":
        return any(agrees(said[i:], wanted[1:]) for i in range(len(said) + 1))
    return bool(said) and said[0] == wanted[0] and agrees(said[1:], wanted[1:])


class TutorialTest(unittest.TestCase):
    def test_it_is_as_it_says(self):
        lab = umbra_lab.Lab(BUILD)
        self.addCleanup(lab.__exit__)
        # Others may have the port that the reader is given.
        text = TUTORIAL.read_text().replace("8080", str(umbra_lab.free_port()))
        steps = steps_of(text)
        self.assertGreater(len(steps), 40)
        self.shell = Terminal(lab, "bash", "--norc", "--noprofile", "--noediting", rows=1000, cwd=lab.directory,
                              environment={"PS1": "$ ", "PATH": f"{lab.build}:{os.environ['PATH']}"})
        self.addCleanup(self.shell.close)
        self.addCleanup(self.end_what_it_started, lab)
        self.socket = lab.directory / "hub" / "umbra.sock"
        self.shell.expect(r"\$ $")
        for i, (prompt, typed, wanted) in enumerate(steps):
            following = steps[i + 1][0] if i + 1 < len(steps) else None
            self.step(prompt, typed, [plain(line) for line in wanted], following)

    def end_what_it_started(self, lab):
        """The daemons of its directory: those that the tutorial leaves running, and all if it did not come to its end."""
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if (process / "comm").read_text() == "umbrad\n" and os.readlink(process / "cwd") == str(lab.directory):
                    os.kill(int(process.name), signal.SIGTERM)
        self.shell.type("\x03\rexit\rexit\r")
        with contextlib.suppress(AssertionError):
            self.shell.expect("(?!)", 20)  # all it says, up to its end
        lab.processes[-1].wait(20)

    def step(self, prompt, typed, wanted, following):
        if typed.startswith("umbrad "):
            self.socket.unlink(missing_ok=True)
        self.shell.type(typed + "\r")
        if any(line.startswith("TIME: ") for line in wanted):  # the log, as it comes
            for line in wanted:
                text = re.escape(line.removeprefix("TIME: ").removesuffix(" ...")).replace("NN", r"\w+")
                self.shell.seen = re.split(text, self.shell.expect(text, SECONDS), maxsplit=1)[1]
            return
        if following is None:
            return
        end = time.monotonic() + SECONDS
        while True:
            said = self.said(following)
            if agrees(said, wanted) or "monitor" in typed or "undebug" in typed:
                break
            # What goes on by itself may not have come so far; who reads on looks again.
            self.assertTrue(typed.startswith("show ") and time.monotonic() < end,
                            f"{prompt}{typed}\n" + "\n".join(said) + "\n-- is not --\n" +
                            "\n".join(wanted))
            self.shell.type(typed + "\r")
        if typed.startswith("umbrad "):
            umbra_lab.wait_for("umbrad to listen", self.socket.exists, SECONDS)

    def said(self, following):
        shown = self.shell.expect(r"(^|[\r\n])" + re.escape(following) + "$", SECONDS)
        return [plain(row.strip("\r")) for row in shown.split("\n")[1:-1]]


if __name__ == "__main__":
    unittest.main()
