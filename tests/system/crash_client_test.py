"""kill -9 of a client at every durable step of a rollover."""

import unittest

from crash_story import ENROLMENT, RENEWAL, SHADOW_CERTIFICATE, SWITCH_OVER, CrashTest


class ClientDies(CrashTest):
    victim = "spoke"

    def test_while_it_authenticates_and_enrolls(self):
        self.kill_in(ENROLMENT)

    def test_while_it_renews(self):
        self.kill_in(RENEWAL)

    def test_while_it_gets_its_shadow_certificate(self):
        self.kill_in(SHADOW_CERTIFICATE)

    def test_while_it_switches_over(self):
        self.kill_in(SWITCH_OVER)


if __name__ == "__main__":
    unittest.main()
