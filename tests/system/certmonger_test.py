"""certmonger's daemon on our server: GET only, renews by a PKCSReq signed with the old certificate."""

import os
import time
import unittest

from peers import Certmonger, chains
from umbra_lab import Lab, free_port, server_text, standing_at, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class CertmongerTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()

    def serve(self, *lines, options=()):
        self.ca = self.lab.daemon("ca", server_text(self.port, lines=lines), "--debug", *options)
        return self.enterContext(Certmonger(self.lab, self.port))

    def queue(self):
        return self.ca.exec("crypto pki server ROOTCA info requests")

    def test_enrols_and_renews_with_the_same_key_and_with_a_new_one(self):
        peer = self.serve()
        first = peer.enroll()
        key = peer.path("key.pem").read_bytes()
        second = peer.renew()
        self.assertNotEqual(first.serial, second.serial)
        self.assertEqual(peer.path("key.pem").read_bytes(), key)
        third = peer.renew(verb="rekey")
        self.assertNotEqual(peer.path("key.pem").read_bytes(), key)
        self.assertTrue(chains(self.lab, self.port, third))
        self.assertNotIn("scep msg type - 17", self.ca.log(), "it knows no RenewalReq")

    def test_asks_again_until_the_administrator_grants(self):
        peer = self.serve("no grant")
        peer.request()
        wait_for("the request in the queue", lambda: "pending" in self.queue())
        peer.wait_for_status("CA_WORKING")
        self.ca.exec("crypto pki server ROOTCA grant all")
        peer.restart()  # it polls when it starts
        peer.wait_for_status("MONITORING")
        self.assertTrue(chains(self.lab, self.port, peer.certificate()))
        self.assertEqual(self.queue().count("granted"), 1, "the same request, not a second one")

    def test_knows_that_it_was_rejected(self):
        peer = self.serve("no grant")
        peer.request()
        wait_for("the request in the queue", lambda: "pending" in self.queue())
        self.ca.exec("crypto pki server ROOTCA reject all")
        peer.wait_for_status("CA_WORKING")
        peer.restart()  # it polls when it starts
        peer.wait_for_status("CA_REJECTED")

    def test_carries_the_challenge(self):
        peer = self.serve("challenge password open-sesame")
        peer.challenge = "open-sesame"
        first = peer.enroll()
        self.assertNotEqual(peer.renew().serial, first.serial)

    def test_goes_on_under_the_next_ca_once_it_is_told_of_it(self):
        # Its helper's clock cannot be moved, so the CA's end is put 20 seconds ahead of the real one.
        switch = int(time.time()) + 20
        peer = self.serve("lifetime ca-certificate 0 1 0", "auto-rollover 0 0 30",
                          options=standing_at(switch - 3600))
        before = peer.enroll()
        self.ca.stop()
        wait_for("the end of the CA", lambda: time.time() > switch + 1)
        self.ca.options = ("--debug", *standing_at(time.time()))
        self.ca.start()
        peer.fetch_ca()  # the file that its CA's -N names
        peer.getcert("refresh-ca", "-c", "umbra")
        peer.getcert("stop-tracking", "-i", "lab")
        wait_for("the request to be gone", lambda: "'lab'" not in peer.getcert("list"))
        for name in ("cert.pem", "key.pem"):
            peer.path(name).unlink()
        peer.request(new_ca=False)
        peer.wait_for_status("MONITORING")
        after = peer.certificate()
        self.assertTrue(chains(self.lab, self.port, after))
        self.assertGreater(int(after.serial, 16), int(before.serial, 16))


if __name__ == "__main__":
    unittest.main()
