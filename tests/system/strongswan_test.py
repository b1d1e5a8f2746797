"""strongSwan's `pki --scep` on our server: enrol, renew, pending, reject, challenge, a switch-over."""

import os
import threading
import time
import unittest

from peers import StrongSwan, chains, read_certificate
from umbra_lab import Lab, free_port, run, server_text, standing_at, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class StrongSwanTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()

    def serve(self, *lines, options=()):
        self.ca = self.lab.daemon("ca", server_text(self.port, lines=lines), "--debug", *options)
        return StrongSwan(self.lab, self.port)

    def pending(self, peer):
        """Asks in the background, until the server has it in its queue; gives how to wait for it."""
        answer = []
        asking = threading.Thread(target=lambda: answer.append(
            peer.enroll("--interval", 1, "--maxpolltime", 30, ok=False)))
        asking.start()
        wait_for("the request in the queue", lambda: "pending" in self.ca.exec(
            "crypto pki server ROOTCA info requests"))

        def result():
            asking.join()
            return answer[0]

        return result

    def test_enrols_and_renews_with_a_new_key(self):
        peer = self.serve()
        first = peer.enroll()
        second = peer.renew()
        self.assertNotEqual(first.serial, second.serial)
        self.assertEqual(first.subject, second.subject)
        self.assertTrue(chains(self.lab, self.port, second))
        self.assertIn("scep msg type - 17", self.ca.log(), "a RenewalReq")

    def test_every_digest_and_cipher_it_has(self):
        peer = self.serve()
        for options in (("--cipher", "des3"), ("--digest", "sha1"), ("--digest", "sha512"),
                        ("--cipher", "aes", "--digest", "sha384")):
            with self.subTest(options):
                self.assertTrue(chains(self.lab, self.port, peer.enroll(*options)))

    def test_sha1_is_refused_when_it_is_switched_off(self):
        peer = self.serve("no allow sha1")
        refused = peer.enroll("--digest", "sha1", ok=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertTrue(peer.enroll().serial)

    def test_polls_until_the_administrator_grants(self):
        peer = self.serve("no grant")
        result = self.pending(peer)
        self.assertIn("%", self.ca.exec("crypto pki server ROOTCA grant 99", ok=False).stdout)
        self.ca.exec("crypto pki server ROOTCA grant 1")
        self.assertTrue(chains(self.lab, self.port, result()))

    def test_is_told_of_a_rejection(self):
        peer = self.serve("no grant")
        result = self.pending(peer)
        self.ca.exec("crypto pki server ROOTCA reject 1")
        self.assertIn(b"fail", result().stderr.lower())
        self.assertIn("rejected", self.ca.exec("crypto pki server ROOTCA info requests"))

    def test_the_queue_survives_a_killed_server(self):
        peer = self.serve("no grant")
        result = self.pending(peer)
        self.ca.kill()
        self.ca.start()
        self.ca.exec("crypto pki server ROOTCA grant all")
        certificate = result()
        if not hasattr(certificate, "serial"):  # it gave up while nobody was there
            certificate = peer.enroll("--interval", 1, "--maxpolltime", 30)
        self.assertTrue(certificate.serial)

    def test_a_challenge_is_asked_for_once(self):
        peer = self.serve("challenge password open-sesame")
        self.assertNotEqual(peer.enroll(ok=False).returncode, 0)
        peer.challenge = "open-says-me"
        self.assertNotEqual(peer.enroll(ok=False).returncode, 0)
        peer.challenge = "open-sesame"
        first = peer.enroll()
        peer.challenge = None
        self.assertNotEqual(peer.renew().serial, first.serial)
        self.assertNotIn("sesame", self.ca.log())

    def test_renews_across_the_switch_over(self):
        now = time.time()
        peer = self.serve("lifetime ca-certificate 0 1 0", "auto-rollover 0 0 30",
                          options=standing_at(now))
        old = peer.enroll()
        old_ca = self.lab.path("old-ca.pem")
        old_ca.write_bytes(peer.fetch_ca().read_bytes())
        self.ca.stop()
        # An hour later, ten minutes after the switch: a device that slept through it.
        self.ca.options = standing_at(now + 4200)
        self.ca.start()
        self.assertNotEqual(peer.fetch_ca().read_bytes(), old_ca.read_bytes())
        peer.seconds_ahead = 4200
        new = peer.enroll()
        self.assertTrue(run("faketime", "-f", "+4200s", "openssl", "verify", "-CAfile",
                            peer.path("ca.pem"), new.path))
        self.assertGreater(int(new.serial, 16), int(old.serial, 16), "one counter for both CAs")
        renewed = peer.renew()
        self.assertEqual(renewed.subject, new.subject)

    def test_renews_in_advance_under_the_active_ca_while_the_next_one_exists(self):
        now = time.time()
        peer = self.serve("lifetime ca-certificate 0 1 0", "auto-rollover 0 0 59",
                          options=standing_at(now))
        self.ca.exec("crypto pki server ROOTCA rollover")
        first = peer.enroll()
        self.assertTrue(chains(self.lab, self.port, read_certificate(first.path)))
        self.assertTrue(chains(self.lab, self.port, peer.renew()))


if __name__ == "__main__":
    unittest.main()
