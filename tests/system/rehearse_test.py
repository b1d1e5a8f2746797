"""`umbra rehearse` as a process: exit status, options, JSON, and the page."""

import html.parser
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

UMBRA = pathlib.Path(os.environ["UMBRA_BUILD"]) / "umbra"

HUB = """hostname hub
ip http server
ip http address 172.16.1.1
crypto pki server ROOTCA
 grant auto
 lifetime certificate 365
 lifetime ca-certificate 730
 auto-rollover 90
 no shutdown
"""
SPOKE = """hostname {name}
crypto pki trustpoint Root-CA
 enrollment url http://172.16.1.1:80
 enrollment retry count 10
 auto-enroll {percent}
"""


class Page(html.parser.HTMLParser):
    """Whether every tag is closed, and what is loaded from elsewhere."""

    EMPTY = {"meta", "rect", "path", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.words = [], [], ""

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "link", "img", "iframe") or any(
                name in ("src", "href") or "http" in (value or "") for name, value in attrs):
            self.loads.append((tag, attrs))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.EMPTY:
            return
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        self.words += data


class Rehearse(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        (self.folder / "hub.cfg").write_text(HUB)

    def spoke(self, percent, name="spoke-1"):
        (self.folder / "spoke.cfg").write_text(SPOKE.format(name=name, percent=percent))

    def rehearse(self, *words):
        done = subprocess.run([UMBRA, "rehearse", *map(str, words)], capture_output=True,
                              text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_status_is_0_if_nobody_goes_dark_and_1_if_somebody_does(self):
        self.spoke(80)
        status, text, noise = self.rehearse(self.folder, "--clients", 500)
        self.assertEqual((status, noise), (0, ""), text)
        self.assertIn("no device was ever dark", text)
        self.spoke(70)
        status, text, _ = self.rehearse(self.folder, "--clients", 500)
        self.assertEqual(status, 1)
        self.assertIn("asked for the next CA before there was one", text)

    def test_the_same_seed_is_the_same_result(self):
        self.spoke(70)
        words = [self.folder, "--clients", 3000, "--loss", 5, "--switched-off", "10:30",
                 "--clock-error", 5, "--outage", "600-610", "--json"]
        first = self.rehearse(*words, "--threads", 1)[1]
        self.assertEqual(first, self.rehearse(*words, "--threads", 2)[1])
        self.assertNotEqual(first, self.rehearse(*words, "--seed", 2)[1])

    def test_json_names_the_dark_and_their_stories_are_told(self):
        self.spoke(70)
        found = json.loads(self.rehearse(self.folder, "--clients", 500, "--json")[1])
        server = found["certificate_servers"][0]
        self.assertEqual(found["dark"], server["dark"])
        self.assertEqual(server["causes"][0]["cause"], "asked-in-vain")
        self.assertEqual(len(server["generations"]), 3)
        worst = server["dark_devices"][0]["device"]
        status, text, _ = self.rehearse(self.folder, "--clients", 500, "--client", worst)
        self.assertEqual(status, 0)
        self.assertIn("gives up", text)
        self.assertIn("2028-01-01 00:00  day      730  DARK", text)

    def test_the_page_is_whole_and_needs_nothing_from_elsewhere(self):
        self.spoke(70, "a<b>&\"c")
        path = self.folder.parent / f"{self.folder.name}.html"
        self.addCleanup(path.unlink)
        self.assertEqual(self.rehearse(self.folder, "--clients", 500, "--html", path)[0], 1)
        page = Page()
        page.feed(path.read_text())
        page.close()
        self.assertEqual(page.open, [])
        self.assertEqual(page.loads, [])
        self.assertIn("went dark", page.words)
        self.assertIn("trustpoint Root-CA of a<b>&\"c", page.words)

    def test_what_is_wrong_on_the_command_line_is_named(self):
        self.spoke(80)
        for option, value in (("--outage", "x"), ("--outage", "0-3"), ("--outage", "5-4"),
                              ("--switched-off", "5"), ("--switched-off", "101:3"),
                              ("--rollover-cancel", "0"), ("--admin-delay", "a"),
                              ("--enrol-over", "9-3"), ("--start", "today"), ("--client", "9"),
                              ("--years", "0"), ("--years", "nan"), ("--loss", "101"),
                              ("--loss", "nan"), ("--clock-error", "inf"),
                              ("--ca-restart", "0"), ("--server-url", "ROOTCA"),
                              ("--html", "/nowhere/page.html")):
            status, text, complaint = self.rehearse(self.folder, "--clients", 9, option, value)
            self.assertEqual((status, text), (2, ""), (option, value))
            self.assertIn(option, complaint)
        short = self.folder / "hub.cfg"
        short.write_text(HUB.replace("ca-certificate 730", "ca-certificate 0 1")
                         .replace(" auto-rollover 90\n", ""))
        status, _, complaint = self.rehearse(self.folder, "--years", 50)
        self.assertEqual(status, 2, complaint)
        self.assertIn("--years: ROOTCA would have more than 30,000 generations", complaint)
        status, _, complaint = self.rehearse(self.folder / "spoke.cfg")
        self.assertEqual(status, 2)
        self.assertIn("no certificate server is among the files", complaint)

    def test_options_may_stand_before_the_files(self):
        self.spoke(80)
        self.assertEqual(self.rehearse("--outage", "700+1", "--clients", 5, self.folder)[0], 0)


if __name__ == "__main__":
    unittest.main()
