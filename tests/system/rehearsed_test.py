"""The rehearsal against real processes: a certificate server and twenty trustpoints in time-lapse,
over real HTTP, and `umbra rehearse` on the same two files. The same happens to each of them on the
same days; a process that has a second's work to do is late by TOLERANCE days at most."""

import datetime
import os
import pathlib
import re
import subprocess
import time
import unittest

from umbra_lab import Lab, ca_der, fingerprint, free_port, server_text, wait_for

BUILD = os.environ["UMBRA_BUILD"]
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
DAYS_A_SECOND = 15
HEAD_START_SECONDS = 12  # for the first keys and certificates, while the clock stands at START
LAST_DAY = 760
TOLERANCE = 15  # days: one second
SPOKES = 20

LINE = re.compile(r"^([A-Z][a-z]{2}) +(\d+) (\d\d):(\d\d):(\d\d)\.\d{3}: (.*)$")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
WORDS = {"RENEW": "renews", "has its shadow certificate": "is ready",
         "switches to the next CA": "switches"}


def spokes_text(port, pinned):
    """Twenty percentages: nobody acts on another's day, and some ask for the next CA in vain. No
    spread: ten seconds of a clock that stands still during the head start would never be over."""
    text = "hostname spokes\nclock calendar-valid\n"
    for number in range(SPOKES):
        text += (f"crypto pki trustpoint SPOKE-{number}\n enrollment url http://127.0.0.1:{port}\n"
                 f" subject-name CN=spoke-{number}\n rsakeypair spoke-{number} 1024\n"
                 f" allow legacy rsa-1024\n enrollment spread 0\n"
                 f" auto-enroll {70 + number}\n fingerprint {pinned}\n")
    return text


def lived(log):
    """What a log says of each trustpoint: [(day, what)]. A log line of IOS has no year."""
    lives, year, last = {}, START.year, START
    for line in log.splitlines():
        match = LINE.match(line)
        if not match:
            continue
        month, day, hour, minute, second, text = match.groups()
        at = datetime.datetime(year, MONTHS.index(month) + 1, int(day), int(hour), int(minute),
                               int(second), tzinfo=datetime.timezone.utc)
        if at < last - datetime.timedelta(days=60):
            year += 1
            at = at.replace(year=year)
        last = max(last, at)
        days = (at - START) / datetime.timedelta(days=1)
        for pattern, what in ((r"CERTRENEWAUTO.*trustpoint (\S+)", "renews"),
                              (r"SHADOW_CERT.*trustpoint (\S+)", "is ready"),
                              (r"SWITCH_OVER.*trustpoint (\S+)", "switches")):
            found = re.search(pattern, text)
            if not found:
                continue
            life = lives.setdefault(found[1], [])
            # The log says "Renewing" of a shadow request too.
            if what == "is ready" and life and life[-1][1] == "renews":
                life.pop()
            life.append((days, what))
    return lives


def rehearsed(files, number):
    story = subprocess.run(
        [pathlib.Path(BUILD) / "umbra", "rehearse", *files, "--enrol-over", "0", "--years",
         str(LAST_DAY / 365.25), "--client", str(number)],
        capture_output=True, text=True, timeout=60, check=True).stdout
    life = []
    for line in story.splitlines():
        match = re.match(r"  \S+ \S+  day +([0-9.]+)  (.*)$", line)
        what = next((WORDS[words] for words in WORDS if match and match[2].startswith(words)), None)
        if what:
            life.append((float(match[1]), what))
    return life


class Rehearsed(unittest.TestCase):
    def test_twenty_trustpoints_live_what_was_rehearsed(self):
        with Lab(BUILD) as lab:
            port = free_port()
            anchor = time.time() + HEAD_START_SECONDS
            lapse = ("--time-lapse",
                     f"{START:%Y-%m-%dT%H:%M:%SZ}@{DAYS_A_SECOND * 86400}@{anchor:.3f}")
            hub = lab.daemon("hub", server_text(
                port, lines=["no archive", "lifetime crl 336", "allow legacy rsa-1024"]), *lapse)
            spokes = lab.daemon("spokes", spokes_text(port, fingerprint(ca_der(port))), *lapse)
            wait_for("all to enrol on day 0", lambda: spokes.log().count("CERTRET") >= SPOKES,
                     HEAD_START_SECONDS)
            self.assertLess(time.time(), anchor)
            wait_for(f"day {LAST_DAY}",
                     lambda: time.time() > anchor + LAST_DAY / DAYS_A_SECOND, 300, 0.5)
            lives = lived(spokes.log())
            late = []
            for number in range(SPOKES):
                expected = rehearsed([hub.config, spokes.config], number)
                life = lives[f"SPOKE-{number}"]
                self.assertEqual([what for _, what in life], [what for _, what in expected], number)
                for (real, what), (foretold, _) in zip(life, expected):
                    self.assertGreaterEqual(real, foretold - 0.01, (number, what))
                    self.assertLess(real, foretold + TOLERANCE, (number, what))
                    late.append(real - foretold)
            self.assertGreaterEqual(len(late), 4 * SPOKES)
            print(f"{len(late)} events, {max(late):.1f} days late at most")
            self.assertEqual((spokes.stop(), hub.stop()), (0, 0))


if __name__ == "__main__":
    unittest.main()
