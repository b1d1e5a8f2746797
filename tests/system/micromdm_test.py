"""micromdm's scepclient on our server, and our client on micromdm's scepserver. Both speak single DES
and SHA-1 whatever is offered, so both need `allow legacy des`."""

import os
import time
import unittest

from peers import ScepClient, ScepServer, chains, read_certificate
from umbra_lab import Lab, free_port, run, server_text, standing_at, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class ScepClientTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()

    def serve(self, *lines, options=()):
        self.ca = self.lab.daemon(
            "ca", server_text(self.port, lines=["allow legacy des", *lines]), "--debug", *options)
        return ScepClient(self.lab, self.port)

    def queue(self):
        return self.ca.exec("crypto pki server ROOTCA info requests")

    def test_is_refused_with_bad_alg_unless_des_is_allowed_by_name(self):
        self.ca = self.lab.daemon("ca", server_text(self.port))
        refused = ScepClient(self.lab, self.port).scep(ok=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("badAlg", refused.stdout + refused.stderr)

    def test_enrols_and_renews(self):
        peer = self.serve()
        first = peer.enroll()
        self.assertTrue(chains(self.lab, self.port, first))
        second = peer.renew()
        self.assertNotEqual(first.serial, second.serial)
        self.assertIn("scep msg type - 17", self.ca.log())

    def test_repeats_its_request_until_the_administrator_grants(self):
        peer = self.serve("no grant")
        process = self.lab.spawn(*peer.words(), cwd=peer.directory)
        wait_for("the request in the queue", lambda: "pending" in self.queue())
        process.kill()  # it would sleep 30 seconds before it asks again
        process.wait()
        self.ca.exec("crypto pki server ROOTCA grant all")
        # The same key, and with it the same transaction.
        certificate = peer.enroll()
        self.assertTrue(chains(self.lab, self.port, certificate))

    def test_is_told_of_a_rejection(self):
        peer = self.serve("grant none")
        refused = peer.scep(ok=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("failInfo", refused.stdout + refused.stderr)

    def test_carries_the_challenge(self):
        peer = self.serve("challenge password open-sesame")
        self.assertNotEqual(peer.scep(ok=False).returncode, 0)
        peer.forget()  # its request, which it would send again
        peer.challenge = "open-sesame"
        self.assertTrue(chains(self.lab, self.port, peer.enroll()))

    def test_enrols_on_both_sides_of_a_switch_over(self):
        now = time.time()
        peer = self.serve("lifetime ca-certificate 0 1 0", "auto-rollover 0 0 30",
                          options=standing_at(now - 1800))
        before = peer.enroll()
        kept = self.lab.write("before.pem", before.path.read_text())
        self.ca.stop()
        self.ca.options = ("--debug", *standing_at(now + 1801))
        self.ca.start()
        peer.forget()
        after = peer.enroll()
        self.assertGreater(int(after.serial, 16), int(before.serial, 16))
        ca = peer.fetch_ca()
        for path, status in ((after.path, True), (kept, False)):
            verified = run("openssl", "verify", "-attime", int(now) + 1802, "-CAfile", ca,
                           path, ok=False)
            self.assertEqual(verified.returncode == 0, status, verified.stderr)


class ScepServerTest(unittest.TestCase):
    """Our client: authenticate by fingerprint, enrol with the challenge, renew."""

    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()

    def spoke(self, server, *lines, options=()):
        block = "".join(f" {line}\n" for line in lines)
        return self.lab.daemon("spoke", f"""hostname spoke-1
clock calendar-valid
crypto pki trustpoint Micro
 enrollment url http://127.0.0.1:{self.port}/scep
 enrollment spread 0
 fingerprint {server.fingerprint()}
 subject-name CN=spoke-1,O=Cisco
 serial-number none
 password 7 0700314940440A0004130609
 auto-enroll 80
 storage pem {self.lab.path("pem")}
{block}""".replace(" serial-number none\n", ""), "--debug", *options)

    def test_says_what_is_missing_while_des_is_not_allowed(self):
        with ScepServer(self.lab, self.port, "open-sesame") as server:
            spoke = self.spoke(server)
            wait_for("the answer", lambda: "allow legacy des" in spoke.log(), 30)
            self.assertFalse(self.lab.path("pem").exists())

    def test_enrols_and_renews(self):
        with ScepServer(self.lab, self.port, "open-sesame") as server:
            spoke = self.spoke(server, "allow legacy des")
            published = self.lab.path("pem") / "cert.pem"
            wait_for("the certificate", published.exists, 60)
            first = read_certificate(published)
            self.assertIn("CN", first.subject)
            self.assertEqual(run("openssl", "verify", "-CAfile", self.lab.path("pem") / "ca.pem",
                                 published).strip(), f"{published}: OK")
            spoke.exec("crypto pki enroll Micro")
            wait_for("the renewal",
                     lambda: read_certificate(published).serial != first.serial, 60)
            self.assertIn("RenewalReq", spoke.log())

    def test_a_wrong_challenge_is_a_rejection_that_stops_the_timer(self):
        with ScepServer(self.lab, self.port, "another") as server:
            spoke = self.spoke(server, "allow legacy des")
            wait_for("the rejection", lambda: "status = 101" in spoke.log() or
                     "rejected" in spoke.log().lower(), 60)
            self.assertNotIn("RENEW", spoke.exec("show crypto pki timers"))
            self.assertNotIn("open-sesame", spoke.log())


if __name__ == "__main__":
    unittest.main()
