"""What `make install` brings along: manual pages without a fault and without a gap, and completion."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

from terminal import Terminal
from umbra_lab import Lab

BUILD = pathlib.Path(os.environ["UMBRA_BUILD"])
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def made(*command):
    return subprocess.run([BUILD / command[0], *command[1:]], capture_output=True, text=True,
                          timeout=60, check=True).stdout


class ManualTest(unittest.TestCase):
    def page(self, *command):
        """As a reader sees it, on one line; roff has nothing to say against it."""
        text = made(*command)
        done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=200n"], input=text,
                              capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(done.stderr, "")
        return re.sub(r"\s+", " ", done.stdout)

    def headings(self, name):
        return re.findall(r"^### `(.*)`$", (DOCS / name).read_text(), re.M)

    def test_every_command_is_in_them(self):
        umbra = self.page("umbra", "--generate", "umbra.1")
        commands = self.headings("exec.md")
        self.assertGreater(len(commands), 40)
        for command in commands:
            self.assertIn(command, umbra)
        conf = self.page("umbra", "--generate", "umbra.conf.5")
        commands = self.headings("commands.md")
        self.assertGreater(len(commands), 80)
        for command in commands:
            self.assertIn(command, conf)

    def test_every_option_is_in_them(self):
        for program, *words in (("umbra", "--generate", "umbra.1"), ("umbrad", "--generate-manual")):
            page = self.page(program, *words)
            helps = [made(program, "--help")]
            helps += [made(program, one, "--help") for one in
                      (re.findall(r"^  ([a-z]+) {2,}", helps[0].split("Subcommands:")[-1], re.M)
                       if "Subcommands:" in helps[0] else [])]
            options = re.findall(r"^  (?:-\w,)?(--[a-z-]+)", "\n".join(helps), re.M)
            self.assertGreater(len(options), 7)
            for option in options:
                self.assertIn(option, page)

    def complete(self, *words):
        return self.whole(*words).split()

    def whole(self, *words):
        script = self.script
        line = " ".join(shlex.quote(word) for word in words)
        code = (f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _umbra;"
                'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}",
                                   "UMBRA_SOCKET": str(self.socket)},
                              check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def test_bash_completes(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.script = folder / "umbra.bash"
        self.script.write_text(made("umbra", "--generate", "bash"))
        lab = Lab(BUILD)
        self.addCleanup(lab.__exit__)
        self.socket = lab.daemon("hub", "hostname hub\n").data / "umbra.sock"
        self.assertEqual(self.complete("umbra", "che"), ["check"])
        self.assertIn("--timeline", self.complete("umbra", "check", "--t"))
        self.assertEqual(self.complete("umbra", "exec", "show", "c"), ["clock", "crypto"])
        self.assertEqual(self.complete("umbra", "exec", "show", "crypto", "pki", "ti"), ["timers"])
        self.assertEqual(self.complete("umbra", "exec", "--ke"), ["--keep-going"])
        # Quoted, as README writes it: what is offered stands in place of all behind the mark.
        for mark in "\"'":
            self.assertEqual(self.whole("umbra", "exec", f"{mark}show c"), "show clock\nshow crypto\n")
            self.assertEqual(self.whole("umbra", "exec", f"{mark}show cr"),
                             "show crypto key\nshow crypto pki\n")
        self.assertEqual(self.whole("umbra", "exec", '"show clo'), "show clock\nshow clock detail\n")
        self.assertEqual(self.whole("umbra", "exec", '"show vers'), "show version\n")
        self.assertEqual(self.whole("umbra", "exec", "show", '"crypto pki tim'),
                         "crypto pki timers\ncrypto pki timers detail\n")
        self.assertEqual(self.whole("umbra", "exec", '"nonsense x'), "\n")
        socket, self.socket = str(self.socket), "/nonexistent"
        self.assertEqual(self.whole("umbra", "exec", '"show cr'), "\n")
        for words in (["--socket", socket], ["--socket", "=", socket]):
            self.assertEqual(self.whole("umbra", "exec", *words, '"show vers'), "show version\n")
        # And so it is typed.
        shell = Terminal(lab, "bash", "--norc", "--noprofile", "-i", environment={
            "PATH": f"{BUILD}:{os.environ['PATH']}", "UMBRA_SOCKET": socket, "PS1": "$ "})
        self.addCleanup(shell.close)
        shell.expect(r"\$ $")
        shell.say(f"source {self.script}", r"\$ ")
        # A bell, where more may follow.
        shell.type('umbra exec "sh\t')
        shell.expect('umbra exec "sh\a?ow $')
        shell.type("cr\t")
        shell.expect("cr\a?ypto $")
        shell.type("p\t")
        shell.expect("p\a?ki $")
        shell.type("tim\t")
        shell.expect("tim\a?ers$")
        shell.type('"\r')
        shell.expect(r"no timer is armed[^$]*\$ $")


if __name__ == "__main__":
    unittest.main()
