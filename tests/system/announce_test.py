"""What an agent tells other programs: files in every form, and a command that fails, hangs, or is cut
off with the daemon."""

import grp
import os
import pathlib
import stat
import time
import unittest

from umbra_lab import Lab, ca_der, fingerprint, free_port, run, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class AnnounceTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()
        self.told = self.lab.path("told")
        # A minute of theirs is a second of ours.
        start = int(time.time())
        self.lapse = ("--time-lapse",
                      f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(start))}@60@{start}")
        self.lab.daemon("ca", server_text(self.port), *self.lapse)

    def agent(self, script, *lines):
        hook = self.lab.write("hook", f"#!/bin/sh\necho $UMBRA_EVENT $UMBRA_SERIAL >>{self.told}\n"
                                      f"{script}\n")
        hook.chmod(0o755)
        block = "".join(f" {line}\n" for line in lines)
        return self.lab.daemon("agent", f"""hostname agent
clock calendar-valid
crypto pki trustpoint web
 enrollment url http://127.0.0.1:{self.port}
 fingerprint {fingerprint(ca_der(self.port))}
 subject-name CN=web
 auto-enroll 80
 on change exec {hook}
{block}""", *self.lapse)

    def events(self):
        return [line.split()[0] for line in self.told.read_text().splitlines()] \
            if self.told.exists() else []

    def test_a_command_that_the_daemon_died_with_runs_again_after_the_start_and_then_no_more(self):
        pid = self.lab.path("pid")
        agent = self.agent(f"[ -e {pid} ] || {{ echo $$ >{pid}; exec sleep 987; }}")
        wait_for("the command to run", pid.exists)
        agent.kill()
        os.kill(int(pid.read_text()), 9)
        agent.start()
        wait_for("it to run again", lambda: "has been run for enrolled" in agent.log())
        self.assertEqual(self.events(), ["enrolled", "enrolled"])
        agent.stop()
        agent.start()
        agent.exec("crypto pki enroll web")
        wait_for("the renewal", lambda: "has been run for renewed" in agent.log())
        self.assertEqual(self.events(), ["enrolled", "enrolled", "renewed"], "a start is no change")

    def test_a_command_that_hangs_is_ended_and_runs_again(self):
        pid = self.lab.path("pid")
        agent = self.agent(f"[ -e {pid} ] || {{ sleep 987 & echo $! >{pid}; wait; }}",
                           "on change limit 1")
        wait_for("it to be ended", lambda: "took more than 1 seconds" in agent.log())
        wait_for("it to run again", lambda: "has been run for enrolled" in agent.log())
        self.assertEqual(self.events(), ["enrolled", "enrolled"])
        left = pathlib.Path(f"/proc/{int(pid.read_text())}/cmdline")
        wait_for("what it started to be gone", lambda: not left.exists() or not left.read_bytes())

    def test_files_are_whose_they_are_to_be_and_openssl_reads_them(self):
        files, archive = self.lab.path("files"), self.lab.path("web.p12")
        group = grp.getgrgid(os.getgid()).gr_name
        files.mkdir()
        (files / "key.pem").write_text("made by hand")
        archive.write_bytes(bytes.fromhex("3004020103" + "05"))  # somebody's, or what looks like it
        agent = self.agent("", f"storage pem {files} group {group} mode 640",
                           f"storage pkcs12 {archive} password 0 between-us mode 400")
        wait_for("the command", lambda: self.events() == ["enrolled"])
        self.assertEqual(stat.S_IMODE((files / "key.pem").stat().st_mode), 0o640)
        self.assertEqual(stat.S_IMODE((files / "cert.pem").stat().st_mode), 0o644)
        self.assertEqual(stat.S_IMODE(archive.stat().st_mode), 0o400)
        self.assertEqual((files / "key.pem.before-umbra").read_text(), "made by hand")
        self.assertIn(f"%UMBRA-4-STORAGE: {files}/key.pem was there before", agent.log())
        self.assertEqual(self.lab.path("web.p12.before-umbra").stat().st_size, 6)
        opened = run("openssl", "pkcs12", "-in", archive, "-passin", "pass:between-us", "-nodes")
        self.assertEqual(opened.count("BEGIN CERTIFICATE"), 2)
        wanted = run("openssl", "x509", "-pubkey", "-noout", "-in", files / "cert.pem")
        for source in (files / "key.pem", files / "bundle.pem"):
            self.assertEqual(run("openssl", "pkey", "-pubout", "-in", source), wanted)
        self.assertEqual(run("openssl", "pkey", "-pubout", text_in=opened), wanted)
        self.assertNotIn("between-us", agent.log())
        self.assertNotIn("between-us", agent.exec("show running-config"))


if __name__ == "__main__":
    unittest.main()
