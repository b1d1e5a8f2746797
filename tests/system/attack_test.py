"""Attacks on umbrad's HTTP port, one after another, while devices enrol: all of those get their certificate,
whoever is slow or silent is closed, and memory stays bounded. UMBRA_ATTACK_SECONDS (`make attacks`): how long
each goes on, and nearly all devices are to be done in two seconds, which takes a machine that does nothing else;
UMBRA_ATTACK_TABLE: a file that the figures go to."""

import concurrent.futures
import json
import os
import re
import unittest

from umbra_lab import Lab, free_port, run, server_text

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
MEASURED = "UMBRA_ATTACK_SECONDS" in os.environ
SECONDS = float(os.environ.get("UMBRA_ATTACK_SECONDS", "1"))
TABLE = os.environ.get("UMBRA_ATTACK_TABLE")
PEAK_KIB = 64 * 1024

# What whole requests are answered with; those of the others are never whole.
ANSWERS = {
    "silent": set(),
    "slowloris": set(),
    "slow-body": set(),
    "half-closed": set(),
    "half-headers": set(),
    "half-bodies": set(),
    "pipelining": set(),
    "fields": {"431"},
    "garbage": {"400"},
    "nested": {"400"},
    "too-large": {"413"},
    "get-ca": {"200"},
    "replay": {"200"},
}
# 500 of them at once are more than umbrad remembers of all requests together: nearly all are told to come again. What one by
# itself is answered the units say (HostileTest).
TOO_LARGE_TOGETHER = {"garbage", "nested"}
# Instead of what it asks for, where it asks for too much.
TOO_MUCH = {"429", "503"}


def peak_kib(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1))


class AttackTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()
        self.daemon = self.lab.daemon("ca", server_text(self.port))

    def attack(self, kind, *options, seconds=SECONDS):
        told = json.loads(run(self.lab.build / "tests/attack", "--port", self.port, "--kind", kind,
                              "--seconds", seconds, *options, timeout=seconds + 120))
        told["peak_kib"] = peak_kib(self.daemon)
        if TABLE:
            with open(TABLE, "a", encoding="ascii") as table:
                table.write(json.dumps(told) + "\n")
        print(json.dumps(told), flush=True)
        return told

    def test_devices_enrol_all_the_same(self):
        for kind, answers in ANSWERS.items():
            with self.subTest(kind=kind):
                told = self.attack(kind, "--per-second", "50")
                self.assertEqual(told["failed"], 0)
                if MEASURED:
                    self.assertGreaterEqual(told["in_time"], 0.99 * told["enrolments"])
                self.assertLess(told["peak_kib"], PEAK_KIB)
                self.assertEqual(told["unanswered"], 0, "whatever is whole is answered")
                self.assertLessEqual(set(told["statuses"]), answers | TOO_MUCH)
                if kind in TOO_LARGE_TOGETHER:
                    self.assertTrue(told["statuses"])
                elif answers:
                    self.assertTrue(answers & set(told["statuses"]), told["statuses"])
        log = self.daemon.log()
        self.assertEqual(self.daemon.stop(), 0)
        for word in ("%UMBRA-1", "%UMBRA-2", "%PKI-1", "%PKI-2", "broken invariant"):
            self.assertNotIn(word, log)

    def test_whoever_is_slow_or_silent_is_closed_within_fifteen_seconds(self):
        # Longer than that: who is still there then is counted. All kinds at once.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            kinds = ("silent", "slowloris", "slow-body", "half-closed")
            for kind, told in zip(kinds, pool.map(lambda one: self.attack(
                    one, "--few", "--per-second", "1", seconds=max(SECONDS, 16)), kinds)):
                with self.subTest(kind=kind):
                    self.assertEqual(told["opened"], 200)
                    self.assertLess(told["longest_connection"], 15)


if __name__ == "__main__":
    unittest.main()
