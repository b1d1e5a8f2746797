#!/usr/bin/env python3
"""Real clients behind a registration authority: strongSwan, certmonger and micromdm's scepclient enrol
and renew through it; an RA that is killed while the CA has their request; one that is transparent."""

import datetime
import os
import threading
import time
import unittest
import urllib.error

from peers import Certmonger, ScepClient, StrongSwan, chains
from umbra_lab import Lab, ca_der, fingerprint, free_port, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class RaSite(unittest.TestCase):
    """A CA and an RA below it, for tests."""

    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.ca_port, self.port = free_port(), free_port()

    def serve(self, ca_lines, ra_lines, mode="ra"):
        """A CA, and an RA below it that has its certificate, on the real clock. The RA polls for that a
        minute after it asked, so until then both run an hour ago, and fast."""
        start = datetime.datetime.fromtimestamp(int(time.time()) - 3600, datetime.timezone.utc)
        fast = ("--time-lapse", f"{start:%Y-%m-%dT%H:%M:%SZ}@300@{time.time():.3f}")
        self.ca = self.lab.daemon("ca", server_text(self.ca_port, lines=("no grant", *ca_lines)),
                                  "--debug", *fast)
        block = "\n".join(f" {line}" for line in ra_lines)
        self.ra = self.lab.daemon("ra", f"""hostname ra
clock calendar-valid
ip http server
ip http address 127.0.0.1
ip http port {self.port}
crypto pki server RA
 mode {mode}
{block}
 no shutdown
crypto pki trustpoint RA
 enrollment url http://127.0.0.1:{self.ca_port}
 fingerprint {fingerprint(ca_der(self.ca_port))}
""", "--debug", *fast)
        if mode == "ra":
            wait_for("the RA's request", lambda: "pending" in self.ca_queue())
            self.ca.exec("crypto pki server ROOTCA grant 1")
        wait_for("the RA to be enabled", lambda: "CS_ENABLED" in self.ra.log())
        for daemon in (self.ca, self.ra):
            daemon.stop()
            daemon.options = ("--debug",)
            daemon.start()

    def ca_queue(self):
        return self.ca.exec("crypto pki server ROOTCA info requests")

    def ra_queue(self):
        return self.ra.exec("crypto pki server RA info requests")


class RaTest(RaSite):
    def test_clients_enrol_and_renew_through_it(self):
        self.serve(["grant ra-auto", "allow legacy des"], ["grant auto", "allow legacy des"])
        peer = StrongSwan(self.lab, self.port)
        first = peer.enroll()
        second = peer.renew()
        self.assertNotEqual(first.serial, second.serial)
        self.assertTrue(chains(self.lab, self.ca_port, second), "the CA's, not the RA's")
        with Certmonger(self.lab, self.port, name="monger") as monger:
            first = monger.enroll()
            second = monger.renew()
            self.assertNotEqual(first.serial, second.serial)
            self.assertTrue(chains(self.lab, self.ca_port, second))
        micro = ScepClient(self.lab, self.port, name="micro")
        micro.envelop_for_the_exchange_certificate()
        self.assertTrue(chains(self.lab, self.ca_port, micro.enroll()))
        self.assertEqual(self.ra_queue().count("granted"), 5)
        self.assertNotIn("msg type - 17", self.ca.log(), "the RA asks in its own name")

    def test_a_killed_ra_goes_on_with_what_waits_at_the_ca(self):
        self.serve([], ["grant auto"])
        peer = StrongSwan(self.lab, self.port)
        answer = []
        asking = threading.Thread(target=lambda: answer.append(
            peer.enroll("--interval", 1, "--maxpolltime", 30, ok=False)))
        asking.start()
        wait_for("the request at the CA", lambda: self.ca_queue().count("pending") == 1)
        wait_for("the RA to know", lambda: "forwarded" in self.ra_queue())
        self.ra.kill()
        self.ra.start()
        self.assertIn("forwarded", self.ra_queue())
        self.ca.exec("crypto pki server ROOTCA grant 2")
        asking.join()
        certificate = answer[0]
        if not hasattr(certificate, "serial"):  # it gave up while nobody was there
            certificate = peer.enroll("--interval", 1, "--maxpolltime", 30)
        self.assertTrue(chains(self.lab, self.ca_port, certificate))

    def test_what_the_operator_of_the_ra_grants_is_asked_for_at_once(self):
        self.serve(["grant ra-auto"], [])
        peer = StrongSwan(self.lab, self.port)
        answer = []
        asking = threading.Thread(target=lambda: answer.append(
            peer.enroll("--interval", 1, "--maxpolltime", 30, ok=False)))
        asking.start()
        wait_for("the request at the RA", lambda: "pending" in self.ra_queue())
        self.assertNotIn("CN=peer", self.ca_queue())
        self.ra.exec("crypto pki server RA grant all")
        asking.join()
        self.assertTrue(chains(self.lab, self.ca_port, answer[0]))
        self.assertIn("that is for the CA above it",
                      self.ra.exec("crypto pki server RA rollover", ok=False).stdout)

    def test_a_transparent_one_is_as_if_it_were_the_ca(self):
        self.serve(["grant auto"], [], mode="ra transparent")
        peer = StrongSwan(self.lab, self.port)
        first = peer.enroll()
        self.assertEqual(peer.path("exchange.pem").read_bytes(), peer.path("ca.pem").read_bytes())
        self.assertNotEqual(peer.renew().serial, first.serial)
        self.ca.stop()
        with self.assertRaises(urllib.error.HTTPError) as answer:
            peer.renew(ok=False)
        self.assertEqual(answer.exception.code, 503)
        self.assertIn("RA_CA_SILENT", self.ra.log())


if __name__ == "__main__":
    unittest.main()
