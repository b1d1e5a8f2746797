"""The interactive console on a pseudo-terminal: typing, ?, Tab, pages, Ctrl-C, modes; scripts; who may."""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import time
import unittest

import umbra_lab

BUILD = os.environ["UMBRA_BUILD"]
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
CONFIGURATION = "hostname hub\nip http server\nip http port {port}\nip http address 127.0.0.1\n"


class Terminal:
    """umbra on a terminal of 24 rows."""

    def __init__(self, lab, path, rows=24):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 200, 0, 0))
        self.name = os.ttyname(slave)
        self.modes = termios.tcgetattr(slave)[3]
        environment = {**os.environ, "TERM": "vt100", "LC_ALL": "C.UTF-8"}
        self.process = lab.spawn(lab.build / "umbra", "--socket", path, stdin=slave, stdout=slave,
                                 stderr=slave, env=environment, start_new_session=True,
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


class ConsoleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = umbra_lab.Lab(BUILD)
        cls.addClassCleanup(cls.lab.__exit__)
        cls.hub = cls.lab.daemon("hub", CONFIGURATION.format(port=umbra_lab.free_port()))
        cls.path = cls.hub.data / "umbra.sock"

    def terminal(self, rows=24):
        terminal = Terminal(self.lab, self.path, rows)
        self.addCleanup(terminal.close)
        terminal.expect("hub#$")
        return terminal

    def umbra(self, *words, text_in="", **options):
        return subprocess.run([self.lab.build / "umbra", *words, "--socket", self.path],
                              input=text_in, capture_output=True, text=True, timeout=60,
                              check=False, **options)

    def test_question_mark_needs_no_enter_and_keeps_the_line(self):
        terminal = self.terminal()
        terminal.type("show crypto pki ti?")
        shown = terminal.expect(r"timers.*What will happen when[^#]*hub#show crypto pki ti$")
        self.assertNotIn("Invalid", shown)
        terminal.type("mers\r")
        terminal.expect("PKI Timers|hub#$")

    def test_tab_completes_what_is_certain(self):
        terminal = self.terminal()
        terminal.type("sho\tclo\t\r")
        shown = terminal.expect(r"\n[^\n]*hub#$")
        self.assertRegex(shown, r"\d\d:\d\d:\d\d\.\d{3} UTC", "it was said as `show clock`")

    def test_control_c_drops_the_line_and_history_brings_lines_back(self):
        terminal = self.terminal()
        terminal.say("show version", "hub#")
        terminal.type("configure ter\x03")
        terminal.expect(r"\^C\r?\n.*hub#$")
        terminal.type("\x10\r")  # Ctrl-P
        self.assertIn("Umbra, certificate server", terminal.expect("System name.*(\n.*)*hub#$"))

    def test_a_page_waits_for_a_key(self):
        terminal = self.terminal(rows=8)
        terminal.type("show running-config\r")
        first = terminal.expect("--More-- $")
        self.assertEqual(first.count("\n"), 8, first)  # the typed line, and a page
        terminal.type("\r")
        self.assertEqual(terminal.expect("--More-- $").count("\n"), 1)
        terminal.type("q")
        terminal.expect("hub#$")
        terminal.say("terminal length 0", "hub#")
        terminal.type("show running-config\r")
        self.assertNotIn("More", terminal.expect(r"\nend\r?\n.*hub#$"))

    def test_the_tutorial_as_it_stands(self):
        text = (DOCS / "CONSOLE.md").read_text()
        block = re.search(r"## A first session.*?```\n(.*?)```", text, re.S).group(1)
        terminal = self.terminal()
        steps = re.split(r"^(hub[^#\n]*#)", block, flags=re.M)[1:]
        for i in range(0, len(steps), 2):
            prompt, (line, *output) = steps[i], steps[i + 1].rstrip("\n").split("\n")
            terminal.type(line + "\r")
            if i + 2 == len(steps):
                break
            said = terminal.expect(r"(^|\n|\r)" + re.escape(steps[i + 2]) + "$")
            said = [row.strip("\r") for row in said.split("\n")[1:-1]]
            self.assertEqual([row.rstrip() for row in said], [row.rstrip() for row in output],
                             prompt + line)
        self.assertEqual(terminal.process.wait(20), 0)

    def test_control_z_leaves_configuration_and_two_consoles_see_one_configuration(self):
        one, two = self.terminal(), self.terminal()
        one.say("conf t", r"hub\(config\)#")
        one.say("ip domain name one.example", r"hub\(config\)#")
        self.assertIn("one.example", two.say("show running-config | include domain", "hub#"))
        one.type("\x1a")
        one.expect("hub#$")
        two.say("terminal length 0", "hub#")
        self.assertIn("User:console by root  logged command:ip domain name one.example",
                      two.say("show logging | include domain", "hub#"))
        one.say("conf t", r"hub\(config\)#")
        one.say("no ip domain name", r"hub\(config\)#")

    def test_what_is_pasted_is_shown_once_and_the_terminal_is_left_as_it_was(self):
        terminal = self.terminal()
        terminal.type("conf t\r! one\r! two\rend\rshow version | include name\r")
        shown = terminal.expect(r"System name is hub\r?\n.*hub#$")
        self.assertEqual([shown.count(line) for line in ("! one", "! two")], [1, 1], shown)
        # The line discipline's modes outlive the program: another end of it is still open here.
        slave = os.open(terminal.name, os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, slave)
        terminal.type("exit\r")
        self.assertEqual(terminal.process.wait(20), 0)
        self.assertTrue(terminal.modes & termios.ECHO)
        self.assertEqual(termios.tcgetattr(slave)[3], terminal.modes)

    def test_scripts_stop_at_the_first_failure(self):
        script = self.lab.write("script", "show clock\nshow nonsense\nshow version\n")
        done = self.umbra("exec", "-f", script)
        self.assertEqual(done.returncode, 1)
        self.assertIn("UTC", done.stdout)
        self.assertNotIn("Umbra,", done.stdout)
        self.assertIn("script:2: the command failed", done.stderr)
        done = self.umbra("exec", "-f", script, "--keep-going")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Umbra,", done.stdout)
        self.assertEqual(self.umbra("exec", "-f", "-", text_in="conf t\nhostname hub\nend\n"
                                    "show clock | json\n").returncode, 0)
        self.assertEqual(self.umbra("exec", "-f", "/nonexistent").returncode, 2)
        self.assertEqual(self.umbra("exec").returncode, 2)
        self.assertIn("time", json.loads(self.umbra("exec", "show clock | json").stdout))
        piped = self.umbra(text_in="show clock\n")
        self.assertEqual(piped.returncode, 0)
        self.assertNotIn("hub#", piped.stdout)

    def test_others_are_refused(self):
        os.chmod(self.lab.directory, 0o755)
        os.chmod(self.hub.data, 0o755)
        self.addCleanup(os.chmod, self.hub.data, 0o700)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.path))  # root may
        code = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                "s.sendall(b'{\"exec\": \"show clock\"}\\n'); print(s.recv(4096).decode())")
        done = subprocess.run(
            ["/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
             "/usr/bin/python3", "-c", code, str(self.path)],
            capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(json.loads(done.stdout)["status"], 1)
        self.assertIn("nobody may not use this console", done.stdout)
        self.assertNotIn("UTC", done.stdout)


if __name__ == "__main__":
    unittest.main()
