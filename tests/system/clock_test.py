"""A clock that steps, by an hour, by a year, and backwards: every timer is computed anew at once, and
nothing is asked for twice. clock_at.c gives the two daemons a clock of their own to be stepped."""

import os
import pathlib
import re
import signal
import struct
import time
import unittest

from peers import read_certificate
from umbra_lab import Lab, ca_der, fingerprint, free_port, server_text, wait_for

BUILD = pathlib.Path(os.environ.get("UMBRA_BUILD", "build/release"))
HOUR = 3600
YEAR = 365 * 86400


class ClockTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.ahead = self.lab.path("ahead")
        self.ahead.write_bytes(struct.pack("=q", 0))
        environment = {"LD_PRELOAD": str((BUILD / "tests" / "clock_at.so").resolve()),
                       "UMBRA_CLOCK_FILE": str(self.ahead)}
        self.port = free_port()
        self.files = self.lab.path("files")
        self.told = self.lab.path("told")
        # Ten hours, renewed after the first of them; the CA lives two years.
        self.ca = self.lab.daemon("ca", server_text(self.port, lines=["lifetime certificate 0 10 0"]),
                                  environment=environment)
        self.agent = self.lab.daemon(
            "agent", "hostname agent\nclock calendar-valid\ncrypto pki trustpoint web\n"
            f" enrollment url http://127.0.0.1:{self.port}\n enrollment spread 0\n"
            f" fingerprint {fingerprint(ca_der(self.port))}\n auto-enroll 10\n"
            f" storage pem {self.files}\n on change exec echo $UMBRA_EVENT >>{self.told}\n",
            environment=environment)
        self.wait_for_events(["enrolled"])

    def wait_for_events(self, expected):
        wait_for(f"{expected}; the agent's log:\n{self.agent.log()}", lambda: self.events() == expected)

    def events(self):
        return self.told.read_text().split() if self.told.exists() else []

    def step_to(self, ahead):
        """The clock of both, so many seconds ahead of this host's."""
        with open(self.ahead, "r+b") as file:
            file.write(struct.pack("=q", ahead))
        for daemon in (self.ca, self.agent):
            if daemon.process.poll() is None:
                daemon.process.send_signal(signal.SIGUSR2)

    def renews_in(self):
        """The RENEW timer as it is shown: DAYSdHOURS:MINUTES:SECONDS, the larger ones if any."""
        shown = re.search(r"(\d[\d:.d ]*?) +RENEW web", self.agent.exec("show crypto pki timers"))
        parts = [float(one) for one in re.split("[:d ]+", shown.group(1))]
        weights = [1, 60, HOUR, 86400]
        return sum(one * weight for one, weight in zip(reversed(parts), weights))

    def serial(self):
        return read_certificate(self.files / "cert.pem").serial

    def test_timers_follow_every_step_of_the_clock(self):
        first = self.serial()
        self.assertAlmostEqual(self.renews_in(), HOUR, delta=20)

        # Half an hour: earlier, and not yet.
        self.step_to(HOUR // 2)
        self.assertAlmostEqual(self.renews_in(), HOUR // 2, delta=20)
        self.assertEqual(self.serial(), first)

        # An hour: RENEW is due, and is not slept through.
        self.step_to(HOUR + 30)
        self.wait_for_events(["enrolled", "renewed"])
        second = self.serial()
        self.assertAlmostEqual(self.renews_in(), HOUR, delta=20)

        # A year: the certificate is long over, the CA is not.
        self.step_to(YEAR)
        self.wait_for_events(["enrolled", "renewed", "renewed"])
        third = self.serial()
        self.assertEqual(len({first, second, third}), 3)
        self.assertAlmostEqual(self.renews_in(), HOUR, delta=20)
        self.assertEqual(self.agent.log().count("%PKI-6-CERT_ENROLL_AUTO"), 2, "as at first")

        # And back: what is there is not of today, and is not asked for again either.
        self.step_to(0)
        wait_for("the timer", lambda: self.renews_in() > YEAR)
        self.assertAlmostEqual(self.renews_in(), YEAR + HOUR, delta=30)
        time.sleep(2)
        self.assertEqual(self.serial(), third)
        self.assertEqual(self.agent.log().count("%PKI-6-CERTRET"), 3)

        # With the CA away it tries in vain, and the next try is not as far away as the clock was.
        self.ca.stop()
        self.step_to(2 * YEAR - 86400)
        wait_for("a try in vain", lambda: "%UMBRA-4-NO_ANSWER" in self.agent.log())
        self.step_to(0)
        wait_for("a try within a minute", lambda: re.search(
            r"[| ] +\d+\.\d+ +CONNECT RETRY web", self.agent.exec("show crypto pki timers")))
        self.ca.start()
        self.step_to(61)
        self.wait_for_events(["enrolled", "renewed", "renewed", "renewed"])
        self.assertAlmostEqual(self.renews_in(), HOUR, delta=30)


if __name__ == "__main__":
    unittest.main()
