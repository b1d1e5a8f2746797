"""`umbra check` as a process: files and directories, exit status, JSON and SARIF."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

from umbra_lab import Lab, free_port

UMBRA = pathlib.Path(os.environ["UMBRA_BUILD"]) / "umbra"

HUB = """hostname hub
clock calendar-valid
ip http server
ip http address 172.16.1.1
crypto pki server ROOTCA
 database archive pkcs12 password s3cret-of-the-archive
 grant auto
 lifetime crl 48
 lifetime certificate 365
 lifetime ca-certificate 730
 database url ftp://10.1.1.1/DB/ROOTCA/
 auto-rollover 90
 no shutdown
"""
SPOKE = """hostname {name}
ntp server 10.1.1.1
crypto pki trustpoint Root-CA
 enrollment url http://172.16.1.1:80
 rsakeypair {name}-RSA
{also} auto-enroll {percent}
"""


def check(*words):
    done = subprocess.run([UMBRA, "check", *map(str, words)], capture_output=True,
                          text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


class Check(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        (self.folder / "hub.cfg").write_text(HUB)

    def spoke(self, name, percent, also=""):
        path = self.folder / f"{name}.cfg"
        path.write_text(SPOKE.format(name=name, percent=percent, also=also))
        return path

    def test_status_is_0_for_warnings_and_1_for_errors(self):
        self.spoke("a", 80)
        status, text, _ = check(self.folder)
        self.assertEqual(status, 0, text)
        self.assertIn("17 days to spare", text)
        path = self.spoke("a", 70)
        status, text, _ = check(self.folder)
        self.assertEqual(status, 0, text)
        self.assertIn(f"{path}:6: warning: trustpoint Root-CA of a [shadow-too-early]", text)
        self.assertIn("     auto-rollover 110\n", text)
        self.assertEqual(check(self.folder, "--strict")[0], 1)
        self.spoke("a", 70, " enrollment retry count 10\n")
        status, text, _ = check(self.folder)
        self.assertEqual(status, 1, text)
        self.assertIn("gives up, and goes dark on day 730", text)

    def test_status_is_2_for_what_cannot_be_read_or_is_faulty(self):
        bad = self.folder / "bad.cfg"
        bad.write_text("crypto pki server X\n lifetme certificate 365\n")
        for words in ([bad], [self.folder / "nothing.cfg"], [], [self.folder, "--enrolled", "x"],
                      [self.folder, "--server-url", "ROOTCA"], [self.folder, "--start", "today"]):
            status, text, complaint = check(*words)
            self.assertEqual(status, 2, words)
            self.assertEqual(text, "", words)
            self.assertTrue(complaint, words)
        self.assertIn(f"{bad}:2:2: unknown command", check(bad)[2])
        self.assertEqual(check(self.folder, "--json", "--sarif")[0], 2)

    def test_a_routers_other_lines_are_left_alone(self):
        router = self.folder / "router.cfg"
        router.write_text("version 15.4\nservice password-encryption\n" +
                          SPOKE.format(name="r", percent=80, also="") +
                          "interface GigabitEthernet0/0\n ip address 10.0.0.1 255.0.0.0\n"
                          " shutdown\nip http secure-server\nend\n")
        status, text, complaint = check(self.folder)
        self.assertEqual(status, 0, complaint)
        self.assertIn(f"{router}:8: note: trustpoint Root-CA of r [rollover-proved]", text)

    def test_json_and_sarif_are_what_they_say(self):
        path = self.spoke("a", 70)
        found = json.loads(check(self.folder, "--json")[1])["findings"]
        early = [one for one in found if one["rule"] == "shadow-too-early"]
        self.assertEqual([(one["file"], one["line"]) for one in early], [(str(path), 6)])
        self.assertEqual([fix["text"] for fix in early[0]["fixes"]],
                         [" auto-rollover 110", " auto-enroll 76"])
        sarif = json.loads(check(self.folder, "--sarif")[1])
        self.assertEqual(sarif["version"], "2.1.0")
        run = sarif["runs"][0]
        self.assertEqual(run["tool"]["driver"]["name"], "umbra check")
        for result in run["results"]:
            self.assertIn(result["level"], ("error", "warning", "note"))
            self.assertTrue(result["message"]["text"])
            self.assertEqual(run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"],
                             result["ruleId"])
            self.assertGreaterEqual(
                result["locations"][0]["physicalLocation"]["region"]["startLine"], 1)

    def test_the_lines_it_says_to_write_end_the_finding(self):
        self.spoke("a", 70)
        found = json.loads(check(self.folder, "--json")[1])["findings"]
        fixes = next(one for one in found if one["rule"] == "shadow-too-early")["fixes"]
        for fix in fixes:
            path = pathlib.Path(fix["file"])
            before = path.read_text()
            lines = before.split("\n")
            self.assertTrue(fix["replaces"])
            lines[fix["line"] - 1] = fix["text"]
            path.write_text("\n".join(lines))
            self.assertEqual(json.loads(check(self.folder, "--json")[1])["warnings"], 0, fix)
            path.write_text(before)

    def test_the_story_of_one_trustpoint(self):
        self.spoke("a", 70)
        status, text, _ = check(self.folder, "--timeline", "Root-CA", "--enrol-day", 365,
                                "--start", "2015-10-09T12:14:16Z")
        self.assertEqual(status, 0)
        self.assertIn("2017-06-21 00:14  day    620.5  there is no next CA yet (16 times", text)
        self.assertIn("never without a valid certificate", text)
        self.assertEqual(check(self.folder, "--timeline", "Nobody")[0], 2)

    def test_five_thousand_configurations_in_under_five_seconds(self):
        for i in range(5000):
            self.spoke(f"spoke-{i:04}", 80 if i % 2 else 78)
        start = time.monotonic()
        status, text, _ = check(self.folder)
        took = time.monotonic() - start
        self.assertEqual(status, 0)
        self.assertIn("5,000 trustpoints of 2 kinds", text)
        self.assertLess(took, 5)

    def test_the_daemon_says_it_at_its_start(self):
        with Lab(UMBRA.parent) as lab:
            port = free_port()
            text = (HUB.replace("172.16.1.1", "127.0.0.1").replace(" auto-rollover 90\n", "")
                    .replace("crypto pki server", f"ip http port {port}\ncrypto pki server"))
            daemon = lab.daemon("hub", text)
            self.assertRegex(daemon.log(), r"%UMBRA-4-PLAN: line 11: certificate server ROOTCA: "
                                           r"auto-rollover is off")
            shown = daemon.exec("show crypto pki plan")
            self.assertIn("error: certificate server ROOTCA [no-rollover]", shown)
            self.assertIn(f"write in {daemon.config}:6 below it:", shown)
            self.assertEqual(json.loads(daemon.exec("show crypto pki plan | json"))["errors"], 1)


if __name__ == "__main__":
    unittest.main()
