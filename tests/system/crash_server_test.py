"""kill -9 of a certificate server at every durable step of a rollover."""

import unittest

from crash_story import DEATHS, ENROLMENT, FIRST_START, RENEWAL, SHADOW_CA, SHADOW_CA_BY_HAND, \
    SHADOW_CERTIFICATE, SWITCH_OVER, CrashTest


class ServerDies(CrashTest):
    victim = "ca"

    def test_in_its_first_start(self):
        self.kill_in(FIRST_START)

    def test_while_a_client_enrolls(self):
        self.kill_in(ENROLMENT)

    def test_while_a_client_renews(self):
        self.kill_in(RENEWAL)

    def test_while_it_makes_its_shadow_ca(self):
        self.kill_in(SHADOW_CA)

    def test_while_it_makes_its_shadow_ca_by_command(self):
        self.kill_in(SHADOW_CA_BY_HAND, DEATHS[:1])

    def test_while_a_client_gets_its_shadow_certificate(self):
        self.kill_in(SHADOW_CERTIFICATE)

    def test_while_it_switches_over(self):
        self.kill_in(SWITCH_OVER)


if __name__ == "__main__":
    unittest.main()
