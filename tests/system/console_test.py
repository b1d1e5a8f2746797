"""The interactive console on a pseudo-terminal: typing, ?, Tab, pages, Ctrl-C, modes; scripts; who may."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import termios
import time
import unittest

import umbra_lab
from terminal import Terminal

BUILD = os.environ["UMBRA_BUILD"]
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
CONFIGURATION = "hostname hub\nip http server\nip http port {port}\nip http address 127.0.0.1\n"


class ConsoleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = umbra_lab.Lab(BUILD)
        cls.addClassCleanup(cls.lab.__exit__)
        cls.hub = cls.lab.daemon("hub", CONFIGURATION.format(port=umbra_lab.free_port()))
        cls.path = cls.hub.data / "umbra.sock"

    def terminal(self, rows=24):
        terminal = self.umbra_on(self.path, rows)
        terminal.expect("hub#$")
        return terminal

    def umbra_on(self, path, rows=24):
        terminal = Terminal(self.lab, self.lab.build / "umbra", "--socket", path, rows=rows)
        self.addCleanup(terminal.close)
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

    def test_control_c_and_control_z_with_nothing_typed_end_nothing(self):
        terminal = self.terminal()
        for key in ("\x03", "\x1a", "show clo\x1a"):
            terminal.type(key)
            terminal.expect(r"\^[CZ]\r?\n.*hub#$")
        terminal.say("conf t", r"hub\(config\)#")
        terminal.type("\x03")
        terminal.expect(r"\^C\r?\n.*hub\(config\)#$")
        terminal.say("end", "hub#")
        self.assertIn("hub", terminal.say("show version | include System", "hub#"))
        terminal.type("\x04")  # Ctrl-D does end it
        self.assertEqual(terminal.process.wait(20), 0)

    def test_a_page_waits_for_a_key(self):
        terminal = self.terminal(rows=8)
        terminal.type("show running-config\r")
        first = terminal.expect("--More-- $")
        self.assertEqual(first.count("\n"), 8, first)  # the typed line, and a page
        terminal.type("\r")
        self.assertEqual(terminal.expect("--More-- $").count("\n"), 1)
        terminal.type("q")
        terminal.expect("hub#$")
        terminal.type("show running-config\r")
        terminal.expect("--More-- $")
        terminal.type("\x1b[B")  # an arrow is any other key, and all of it
        terminal.expect("\r *\rhub#$")
        self.assertIn("UTC", terminal.say("show clock", "hub#"))
        terminal.say("terminal length 4", "hub#")
        terminal.type("show running-config\r")
        terminal.expect("--More-- $")
        terminal.type(" ")
        self.assertEqual(terminal.expect("--More-- $").count("\n"), 3, "another page")
        terminal.type("q")
        terminal.expect("hub#$")
        terminal.say("terminal length 0", "hub#")
        terminal.type("show running-config\r")
        self.assertNotIn("More", terminal.expect(r"\nend\r?\n.*hub#$"))

    def test_a_page_is_counted_in_rows_of_the_terminal_as_it_is_now(self):
        terminal = self.terminal(rows=50)
        terminal.say("conf t", r"hub\(config\)#")
        terminal.say("crypto pki server LONG", r"hub\(cs-server\)#")
        terminal.say("issuer-name CN=" + "x" * 60, r"hub\(cs-server\)#")
        terminal.say("end", "hub#")
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 6, 20, 0, 0))
        terminal.type("show running-config | section LONG\r")
        first = terminal.expect("--More-- $")
        self.assertIn("crypto pki server LONG", first)
        self.assertNotIn("x" * 60, first, "four rows do not go behind the two there are")
        terminal.type(" ")
        self.assertIn("x" * 60, terminal.expect("(--More-- |hub#)$").replace("\r\n", ""))
        terminal.type("q\x15")
        terminal.say("conf t", r"hub\(config\)#")
        terminal.say("no crypto pki server LONG", r"hub\(config\)#")
        terminal.say("end", "hub#")

    def test_names_are_typed_in_utf_8_whatever_the_locale(self):
        terminal = Terminal(self.lab, self.lab.build / "umbra", "--socket", self.path,
                            environment={"LC_ALL": "C"})
        self.addCleanup(terminal.close)
        terminal.expect("hub#$")
        terminal.say("conf t", r"hub\(config\)#")
        terminal.say("crypto pki server UTF", r"hub\(cs-server\)#")
        terminal.say("issuer-name CN=Z\u00fcrich", r"hub\(cs-server\)#")
        self.assertIn("CN=Z\u00fcrich", terminal.say("do show running-config | include issuer",
                                                    r"hub\(cs-server\)#"))
        terminal.say("no crypto pki server UTF", r"hub\(config\)#")
        terminal.say("end", "hub#")

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

    def test_the_log_comes_as_it_is_written_and_the_line_being_typed_stays(self):
        watcher, other = self.terminal(), self.terminal()
        watcher.say("terminal monitor", "hub#")
        watcher.type("show clo")
        watcher.expect("show clo$")
        other.say("conf t", r"hub\(config\)#")
        other.say("ip domain name seen.example", r"hub\(config\)#")
        shown = watcher.expect(r"seen\.example\r?\n.*hub#show clo$")
        self.assertRegex(shown, r"^show clo\r?\n\S.*%PARSER-5-CFGLOG_LOGGEDCMD: User:console by "
                                r"root  logged command:ip domain name seen\.example\r?\n")
        watcher.type("\t\r")
        watcher.expect(r"\d\d:\d\d:\d\d\.\d{3} UTC.*\n.*hub#$")
        self.assertIn("        1 sessions", watcher.say("show logging | include sessions", "hub#"))
        # A question that waits for its answer is not written over either; then all is there.
        watcher.say("terminal no monitor", "hub#")
        other.say("no ip domain name", r"hub\(config\)#")
        self.assertNotIn("PARSER", watcher.say("show clock", "hub#"))
        other.say("end", "hub#")

    def test_a_page_that_waits_loses_neither_the_log_nor_an_answer(self):
        watcher = self.terminal(rows=8)
        watcher.say("terminal monitor", "hub#")
        watcher.type("show running-config\r")
        watcher.expect("--More-- $")
        changes = "".join(f"ip domain name n{i}.example\n" for i in range(60))
        self.assertEqual(self.umbra(text_in=f"conf t\n{changes}end\n").returncode, 0)
        watcher.type("q")
        shown = watcher.expect(r"n59\.example\r?\n(.*\n)*.*hub#$")
        self.assertEqual(re.findall(r"domain name n(\d+)\.example", shown), [str(i) for i in range(60)])
        watcher.say("terminal no monitor", "hub#")
        self.assertIn("n59.example", watcher.say("show running-config | include domain", "hub#"))
        self.assertEqual(self.umbra(text_in="conf t\nno ip domain name\n").returncode, 0)

    def test_who_finds_no_room_is_told_so_and_root_finds_some(self):
        os.chmod(self.lab.directory, 0o755)
        os.chmod(self.hub.data, 0o755)
        self.addCleanup(os.chmod, self.hub.data, 0o700)
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        # In the order they come, nobody's 65th session is the first that is too much.
        holder = self.lab.spawn(*nobody, "python3", "-c", (
            "import socket,sys\nheld = []\n"
            "for _ in range(64):\n"
            "    held.append(socket.socket(socket.AF_UNIX))\n"
            "    held[-1].connect(sys.argv[1])\n"
            "print(flush=True)\nsys.stdin.read()"), self.path,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holder.stdout.readline()
        many = "umbra: umbrad has too many sessions open; end some, and try again\n"

        def refused(prefix, words):
            done = subprocess.run([*prefix, self.lab.build / "umbra", *words, "--socket", self.path],
                                  input="show clock\n", capture_output=True, text=True, timeout=60,
                                  check=False)
            return done.returncode, done.stdout, done.stderr.replace("-:1: ", "")

        ways = (("exec", "show clock"), ("exec", "-f", "-"), ())
        for words in ways:
            self.assertEqual(refused(nobody, words), (3, "", many), words)
        with contextlib.ExitStack() as stack:
            for _ in range(100):  # more than any other user has
                peer = stack.enter_context(socket.socket(socket.AF_UNIX))
                peer.connect(str(self.path))
            self.assertIn("UTC", self.umbra("exec", "show clock").stdout)
            for _ in range(156):
                peer = stack.enter_context(socket.socket(socket.AF_UNIX))
                peer.connect(str(self.path))
            for words in ways:
                self.assertEqual(refused([], words), (3, "", many), words)
            terminal = self.umbra_on(self.path)
            terminal.expect("too many sessions open")
            self.assertEqual(terminal.process.wait(20), 3)
        holder.communicate(b"")
        umbra_lab.wait_for("room again", lambda: "UTC" in self.umbra("exec", "show clock").stdout)

    def test_a_console_whose_daemon_ends_says_so(self):
        own = self.lab.daemon("own", "hostname own\n")
        terminal = self.umbra_on(own.data / "umbra.sock")
        terminal.expect("own#$")
        own.stop()
        terminal.expect("umbrad has ended, or has closed this session")
        self.assertEqual(terminal.process.wait(20), 3)

    def test_control_c_ends_the_wait_for_a_question_mark_too(self):
        own = self.lab.daemon("stuck", "hostname stuck\n")
        terminal = self.umbra_on(own.data / "umbra.sock")
        terminal.expect("stuck#$")
        own.process.send_signal(signal.SIGSTOP)
        self.addCleanup(own.process.send_signal, signal.SIGCONT)
        terminal.type("show ?")

        def given_up():
            terminal.type("\x03")
            with contextlib.suppress(AssertionError):
                return terminal.expect("% Not waited for any longer", 1)

        umbra_lab.wait_for("Ctrl-C to be heard", given_up)
        own.process.send_signal(signal.SIGCONT)
        terminal.expect("stuck#show $")
        terminal.type("clock\r")
        terminal.expect(r"UTC.*\n.*stuck#$")

    def test_what_is_pasted_and_given_up_changes_nothing_and_says_so(self):
        own = self.lab.daemon("paste", "hostname paste\ncrypto pki trustpoint H\n enrollment terminal\n")
        terminal = self.umbra_on(own.data / "umbra.sock")
        terminal.expect("paste#$")
        for keys, said in (("\x03", "No certificate was entered"), ("quit\r", "No certificate was entered"),
                           ("garbage\rquit\r", "this is no certificate: expected PEM")):
            terminal.type("crypto pki authenticate H\r")
            terminal.expect("on a line by itself\r?\n$")
            terminal.type(keys)
            self.assertIn("% " + said, terminal.expect("paste#$"))

    def test_modes_words_and_marks_as_on_ios(self):
        terminal = self.terminal()
        say = terminal.say
        self.assertRegex(say("show foo", "hub#"), r"\r?\n {9}\^\r?\n% Invalid input detected at '\^' "
                                                  r"marker\.\r?\n")
        self.assertIn("% Incomplete command.", say("show crypto pki", "hub#"))
        self.assertIn('% Ambiguous command:  "sh c"', say("sh c", "hub#"))
        self.assertNotRegex(say("sh cry pki tim", "hub#"), "Invalid|Ambiguous|Incomplete")
        say("conf t", r"hub\(config\)#")
        say("cry pki ser CA", r"hub\(cs-server\)#")
        self.assertIn("lifetime certificate 365", say("show", r"hub\(cs-server\)#"))
        say("lifetime crl 3", r"hub\(cs-server\)#")
        self.assertIn(" lifetime crl 3\r\n",
                      say("do sh run | sec server CA", r"hub\(cs-server\)#"))
        say("default lifetime crl", r"hub\(cs-server\)#")
        self.assertNotIn("lifetime", say("do sh run | sec server CA", r"hub\(cs-server\)#")
                         .split("\n", 1)[1])
        self.assertIn("% Invalid input", say("lifetime crl 400", r"hub\(cs-server\)#"))
        say("exit", r"hub\(config\)#")
        say("crypto pki trustpoint T", r"hub\(ca-trustpoint\)#")
        say("crypto pki certificate chain T", r"hub\(config-cert-chain\)#")
        say("certificate ca 01", r"hub\(config-pubkey\)#")
        say("quit", r"hub\(config-cert-chain\)#")
        say("exit", r"hub\(config\)#")
        # What IOS asks in configuration mode is asked and answered there.
        terminal.say("crypto pki trustpoint T", r"hub\(ca-trustpoint\)#")
        say("enrollment url http://127.0.0.1:9", r"hub\(ca-trustpoint\)#")
        self.assertIn("% Error in receiving Certificate Authority certificate: status = FAIL",
                      say("crypto pki authenticate T", r"hub\(ca-trustpoint\)#"))
        say("end", "hub#")
        say("conf t", r"hub\(config\)#")
        say("no crypto pki trustpoint T", r"hub\(config\)#")
        say("no crypto pki server CA", r"hub\(config\)#")
        say("end", "hub#")

    def test_a_removed_server_is_typed_back_as_it_was(self):
        own = self.lab.daemon("back", "hostname back\nclock calendar-valid\n")

        def script(*lines):
            done = subprocess.run(
                [self.lab.build / "umbra", "exec", "-f", "-", "--socket", own.data / "umbra.sock"],
                input="conf t\n" + "".join(line + "\n" for line in lines), capture_output=True,
                text=True, timeout=60, check=False)
            return done.returncode, done.stdout + done.stderr

        self.assertEqual(script("crypto pki server CA", "issuer-name CN=Other,O=Umbra",
                                "no shutdown", "exit", "no crypto pki server CA")[0], 0)
        self.assertEqual(script("crypto pki server CA", "grant auto")[0], 0)
        status, said = script("crypto pki server CA", "issuer-name CN=Third")
        self.assertEqual(status, 1)
        self.assertIn("issuer-name of certificate server CA cannot be changed", said)
        status, said = script("crypto pki server CA", "issuer-name CN=Other, O=Umbra",
                              "no shutdown", "end", "show crypto pki server CA")
        self.assertEqual(status, 0, said)
        self.assertIn("Issuer name: CN=Other,", said)
        self.assertNotIn("-Not found-", said)

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
        self.assertEqual(self.umbra("exec", "-f", self.lab.directory).returncode, 2)
        self.assertEqual(self.umbra("exec").returncode, 2)
        self.assertIn("time", json.loads(self.umbra("exec", "show clock | json").stdout))
        endless = "show " + "x" * 100_000
        for words, text in ((("exec", endless), ""), (("exec", "-f", "-"), endless), ((), endless)):
            done = self.umbra(*words, text_in=text)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("% A command is one line of text, of at most", done.stdout)
        piped = self.umbra(text_in="show clock\n")
        self.assertEqual(piped.returncode, 0)
        self.assertNotIn("hub#", piped.stdout)
        piped = self.umbra(text_in="terminal length 5\nshow running-config\nnonsense\nexit\n")
        self.assertEqual(piped.returncode, 1)
        for mark in ("--More--", "\x1b"):
            self.assertNotIn(mark, piped.stdout)
        self.assertIn("\nend\n", piped.stdout)
        nobody = subprocess.run([self.lab.build / "umbra", "exec", "show clock", "--socket", "/nonexistent"],
                                capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((nobody.returncode, nobody.stdout), (3, ""))

    def test_hostile_input_does_no_harm(self):
        def send(data):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(20)
                peer.connect(str(self.path))
                with contextlib.suppress(OSError):  # it may have hung up by then
                    peer.sendall(data)
                    peer.shutdown(socket.SHUT_WR)
                    return peer.recv(65536)

        for data in (b"", b"\0" * 200_000, b"x" * 200_000, b'{"exec": "show', b"\xff\xfe\x1b[2J\n",
                     b"[" * 60_000 + b"\n", b'{"say": "\\u0000\\u001b[2J\\u009b1m"}\n',
                     b'{"say": "' + b"a " * 30_000 + b'"}\n', b'{"help": "' + b"show " * 9_000 + b'"}\n',
                     b'{"complete": "\\t\\u0007"}\n', b'{"exec": "show clock", "input": {}}\n',
                     b'{"log": "forged"}\n', b'{"say": "show clock | include ((((a*)*)*)*)*b"}\n' * 50):
            send(data)
        crowd = []
        with contextlib.ExitStack() as stack:
            for _ in range(1000):
                peer = stack.enter_context(socket.socket(socket.AF_UNIX))
                peer.setblocking(False)
                with contextlib.suppress(OSError):
                    peer.connect(str(self.path))
                    crowd.append(peer)
        self.assertGreater(len(crowd), 64)
        umbra_lab.wait_for("room again", lambda: "UTC" in self.umbra("exec", "show clock").stdout)
        with open(f"/proc/{self.hub.process.pid}/status", encoding="ascii") as status:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1))
        self.assertLess(peak, 200 * 1024)
        self.assertNotIn("forged", self.umbra("exec", "show logging").stdout)

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
        for words in (("exec", "show clock"), ("exec", "-f", "-"), ()):
            done = subprocess.run(
                ["/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                 self.lab.build / "umbra", *words, "--socket", self.path],
                input="show clock\n", capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stdout), (3, ""), words)
            self.assertIn("nobody may not use this console", done.stderr)


class LowerServersTest(unittest.TestCase):
    def test_a_subordinate_ca_and_an_ra_are_typed_in_either_order(self):
        lab = umbra_lab.Lab(BUILD)
        self.addCleanup(lab.__exit__)
        # A minute until the next poll is a second.
        lapse = ("--time-lapse", f"2026-01-01T00:00:00Z@60@{time.time():.3f}")

        def daemon(name):
            port = umbra_lab.free_port()
            return lab.daemon(name, "clock calendar-valid\n" + CONFIGURATION.format(port=port)
                              .replace("hub", name), *lapse), port

        def typed(at, *lines):
            done = subprocess.run(
                [lab.build / "umbra", "exec", "-f", "-", "--socket", at.data / "umbra.sock"],
                input="conf t\n" + "".join(line + "\n" for line in lines), capture_output=True,
                text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return done.stdout

        root, root_port = daemon("root")
        typed(root, "crypto pki server ROOT", "issuer-name CN=Root", "grant auto", "no shutdown")
        pin = umbra_lab.fingerprint(umbra_lab.ca_der(root_port))
        lower = {}
        for mode, subject in (("sub-cs", "CN={}"), ("ra", "CN={},OU=ioscs RA")):
            for order in ("server", "trustpoint"):
                name = f"{mode[:2]}-{order}".upper()
                at, port = lower[name] = daemon(name.lower())
                trustpoint = [f"crypto pki trustpoint {name}",
                              f"enrollment url http://127.0.0.1:{root_port}",
                              f"subject-name {subject.format(name)}", f"fingerprint {pin}", "exit"]
                server = [f"crypto pki server {name}", f"mode {mode}", "grant auto"]
                if order == "server":
                    typed(at, *server, "exit", *trustpoint)
                    typed(at, f"crypto pki server {name}", "no shutdown")
                else:
                    typed(at, *trustpoint, *server, "no shutdown")

        def waiting():
            return re.findall(r"^(\d+) +pending", root.exec("show crypto pki server ROOT requests"), re.M)

        umbra_lab.wait_for("all to ask the root", lambda: len(waiting()) == len(lower), 60)
        for number in waiting():
            root.exec(f"crypto pki server ROOT grant {number}")
        for name, (at, port) in lower.items():
            umbra_lab.wait_for(f"{name} to run", lambda at=at: "CS_ENABLED" in at.log(), 60)
            shown = at.exec(f"show crypto pki server {name}")
            self.assertIn("Status: enabled", shown)
            self.assertIn("State: enabled", shown)
            # What they hand out is theirs: the root's certificate, and their own.
            self.assertTrue(umbra_lab.ca_der(port))


class ViewTest(unittest.TestCase):
    def test_the_group_umbra_view_looks_and_changes_nothing(self):
        """The group is there for this daemon alone: in a mount namespace of its own."""
        lab = umbra_lab.Lab(BUILD)
        self.addCleanup(lab.__exit__)
        gid = 54321
        groups = lab.write("group", pathlib.Path("/etc/group").read_text() +
                           f"umbra-view:x:{gid}:\n")
        hub = lab.daemon("hub", "hostname hub\n", prefix=(
            "unshare", "--mount", "sh", "-c", f'mount --bind {groups} /etc/group && exec "$@"', "sh"))
        os.chmod(lab.directory, 0o755)
        os.chmod(hub.data, 0o755)

        def umbra(*words, text_in=""):
            return subprocess.run(
                ["setpriv", "--reuid", "65534", "--regid", "65534", "--groups", str(gid),
                 lab.build / "umbra", *words, "--socket", hub.data / "umbra.sock"],
                input=text_in, capture_output=True, text=True, timeout=60, check=False)

        self.assertIn("UTC", umbra("exec", "show clock").stdout)
        for line in ("show running-config", "write memory", "crypto pki server CA rollover"):
            done = umbra("exec", line)
            self.assertEqual(done.returncode, 1, line)
            self.assertIn("may look, not change", done.stdout)
        done = umbra(text_in="configure terminal\nhostname mine\nshow version\n")
        self.assertIn("may look, not change", done.stdout)
        self.assertIn("System name is hub", done.stdout)


if __name__ == "__main__":
    unittest.main()
