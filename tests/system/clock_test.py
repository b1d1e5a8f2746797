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


class AgentsClockTest(unittest.TestCase):
    """A clock of the agent's alone, which is ahead for a while and then right again: what it did meanwhile
    is not what it goes on with."""

    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.clocks = {name: self.lab.path(name + ".ahead") for name in ("ca", "agent")}
        for clock in self.clocks.values():
            clock.write_bytes(struct.pack("=q", 0))
        self.files = self.lab.path("files")

    def daemon(self, name, text):
        return self.lab.daemon(name, text, environment={
            "LD_PRELOAD": str((BUILD / "tests" / "clock_at.so").resolve()),
            "UMBRA_CLOCK_FILE": str(self.clocks[name])})

    def start(self, percent, lines=()):
        port = free_port()
        self.ca = self.daemon("ca", server_text(port, lines=list(lines)))
        self.agent = self.daemon(
            "agent", "hostname agent\nclock calendar-valid\ncrypto pki trustpoint web\n"
            f" enrollment url http://127.0.0.1:{port}\n enrollment spread 0\n"
            f" fingerprint {fingerprint(ca_der(port))}\n auto-enroll {percent}\n storage pem {self.files}\n")
        wait_for("the certificate", (self.files / "cert.pem").exists)

    def step(self, daemon, name, ahead):
        with open(self.clocks[name], "r+b") as file:
            file.write(struct.pack("=q", ahead))
        daemon.process.send_signal(signal.SIGUSR2)

    def timers(self):
        return self.agent.exec("show crypto pki timers")

    def ahead_and_back(self, ahead):
        """Asks for a certificate in vain, and is right again."""
        refused = self.agent.log().count("%UMBRA-4-NO_ANSWER")
        self.step(self.agent, "agent", ahead)
        wait_for("an answer that is none", lambda: self.agent.log().count("%UMBRA-4-NO_ANSWER") > refused)
        self.step(self.agent, "agent", 60)
        wait_for("RENEW in its time", lambda: re.search(r"291d[\d:.]+ +RENEW web", self.timers()))

    def test_what_a_clock_that_was_ahead_has_begun_is_dropped(self):
        self.start(80)
        serial = read_certificate(self.files / "cert.pem").serial
        self.ahead_and_back(400 * 86400)
        # Beyond the CA's end too, where nothing that it says is of any use.
        self.ahead_and_back(3 * YEAR)
        self.assertNotIn("AUTOCERTERR", self.agent.log())
        self.assertEqual(read_certificate(self.files / "cert.pem").serial, serial)
        for daemon, name in ((self.ca, "ca"), (self.agent, "agent")):
            self.step(daemon, name, 293 * 86400)
        wait_for("the renewal", lambda: read_certificate(self.files / "cert.pem").serial != serial)

    def test_a_switch_that_a_clock_ahead_has_made_is_undone(self):
        day = 86400
        self.start(30, ["lifetime ca-certificate 10", "lifetime certificate 10", "auto-rollover 9"])
        first = read_certificate(self.files / "cert.pem").serial
        self.step(self.ca, "ca", 2 * day)
        self.step(self.ca, "ca", 7 * day // 2)
        self.step(self.agent, "agent", 7 * day // 2)
        wait_for("the shadow certificate", (self.files / "rollover" / "cert.pem").exists, 90)
        shadow = read_certificate(self.files / "rollover" / "cert.pem").serial
        self.step(self.agent, "agent", YEAR)
        wait_for("the switch", lambda: read_certificate(self.files / "cert.pem").serial == shadow)
        self.step(self.agent, "agent", 7 * day // 2 + 60)
        wait_for("what was there before", lambda: read_certificate(self.files / "cert.pem").serial == first)
        self.assertIn("%UMBRA-5-SWITCH_BACK", self.agent.log())
        self.assertIn("SWITCH OVER web", self.timers())
        # After a restart too, and in its time it switches for good.
        self.agent.stop()
        self.agent.start()
        self.step(self.agent, "agent", 10 * day + 60)
        wait_for("the switch", lambda: read_certificate(self.files / "cert.pem").serial == shadow)


if __name__ == "__main__":
    unittest.main()
