"""Real peers on a CA with an EC key: they envelope for the RSA exchange certificate that the CA has
issued to itself, take its signature under the answer, and get certificates that ECDSA signs."""

import os
import time
import unittest

from peers import Certmonger, ScepClient, StrongSwan, chains
from umbra_lab import Lab, fetch, free_port, run, server_text, standing_at

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class EllipticTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()

    def serve(self, *lines, options=()):
        lines = lines or ("keytype ec 256",)
        self.ca = self.lab.daemon("ca", server_text(self.port, lines=lines), "--debug", *options)

    def signed_by_ecdsa(self, certificate, digest):
        self.assertTrue(chains(self.lab, self.port, certificate))
        text = run("openssl", "x509", "-in", certificate.path, "-noout", "-text")
        self.assertIn(f"Signature Algorithm: ecdsa-with-{digest}", text)

    def test_openssl_verifies_the_crl(self):
        self.serve("keytype ec 384")
        ca = StrongSwan(self.lab, self.port).fetch_ca()
        crl = self.lab.path("crl.der")
        crl.write_bytes(fetch(f"http://127.0.0.1:{self.port}/crl/ROOTCA.crl"))
        text = run("openssl", "crl", "-inform", "der", "-in", crl, "-CAfile", ca, "-noout", "-text")
        self.assertIn("ecdsa-with-SHA384", text)

    def test_strongswan_enrols_and_renews(self):
        self.serve("keytype ec 384")
        peer = StrongSwan(self.lab, self.port)
        first = peer.enroll()
        self.signed_by_ecdsa(first, "SHA384")
        second = peer.renew()
        self.assertNotEqual(first.serial, second.serial)
        self.signed_by_ecdsa(second, "SHA384")

    def test_certmonger_enrols_and_renews(self):
        self.serve()
        peer = self.enterContext(Certmonger(self.lab, self.port))
        first = peer.enroll()
        self.signed_by_ecdsa(first, "SHA256")
        self.assertNotEqual(peer.renew().serial, first.serial)

    def test_micromdm_enrols_and_renews(self):
        self.serve("keytype ec 256", "allow legacy des")
        peer = ScepClient(self.lab, self.port)
        self.assertIn("panic", peer.scep(ok=False).stderr, "told nothing, it takes the CA's EC key")
        peer.envelop_for_the_exchange_certificate()
        first = peer.enroll()
        self.signed_by_ecdsa(first, "SHA256")
        self.assertNotEqual(peer.renew().serial, first.serial)

    def test_strongswan_and_micromdm_on_both_sides_of_a_switch_over(self):
        now = time.time()
        self.serve("keytype ec 256", "allow legacy des", "lifetime ca-certificate 0 1 0",
                   "auto-rollover 0 0 30", options=standing_at(now - 1800))
        swan, micro = StrongSwan(self.lab, self.port), ScepClient(self.lab, self.port)
        swan.enroll()
        micro.envelop_for_the_exchange_certificate()
        micro.enroll()
        before = swan.fetch_exchange().read_bytes()
        self.ca.stop()
        self.ca.options = ("--debug", *standing_at(now + 1801))
        self.ca.start()
        self.assertNotEqual(swan.fetch_exchange().read_bytes(), before)
        swan.seconds_ahead = 1802
        self.assertTrue(swan.enroll().serial)
        micro.forget()
        micro.envelop_for_the_exchange_certificate()
        self.assertTrue(micro.enroll().serial)


if __name__ == "__main__":
    unittest.main()
