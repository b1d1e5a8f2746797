"""GetNextCACert in the union form, taken apart by openssl; and a shadow certificate over the wire."""

import datetime
import os
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from peers import StrongSwan, read_certificate
from umbra_lab import (Lab, ca_der, der_to_pem, fetch, fingerprint, free_port, run, run_bytes,
                       server_text, standing_at, wait_for)

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class NextCaTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/cgi-bin/pkiclient.exe?operation=GetNextCACert"
        self.ca = self.lab.daemon("ca", server_text(self.port), "--debug",
                                  *standing_at(time.time()))
        self.active = self.lab.path("active.pem")
        self.active.write_bytes(der_to_pem(ca_der(self.port)))

    def next_ca(self):
        with urllib.request.urlopen(self.url, timeout=10) as answer:
            self.assertEqual(answer.headers["Content-Type"], "application/x-x509-next-ca-cert")
            return answer.read()

    def certificates(self, der):
        """Those in a SignedData, as openssl reads them: [(subject, serial)]."""
        text = run_bytes("openssl", "pkcs7", "-inform", "der", "-print_certs", "-text", "-noout",
                         data=der).decode()
        return sorted(line.split()[-2].split(":")[-1] for line in text.splitlines()
                      if "Serial Number:" in line)

    def test_is_404_with_a_text_until_there_is_one_and_after_a_cancel(self):
        def refused():
            with self.assertRaises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(self.url, timeout=10)
            with raised.exception as answer:
                self.assertEqual(answer.code, 404)
                self.assertIn(b"no next CA certificate", answer.read())

        refused()
        self.ca.exec("crypto pki server ROOTCA rollover")
        self.next_ca()
        self.ca.exec("crypto pki server ROOTCA rollover cancel force")
        refused()

    def test_is_a_union_that_every_reader_can_take(self):
        before = ca_der(self.port)
        self.ca.exec("crypto pki server ROOTCA rollover")
        answer = self.next_ca()
        self.assertEqual(ca_der(self.port), before, "the next CA is never in GetCACert")
        message = self.lab.path("next.der")
        message.write_bytes(answer)
        # RFC 8894: the content, signed by the active CA, is a degenerate SignedData.
        content = self.lab.path("content.der")
        run("openssl", "cms", "-verify", "-inform", "der", "-in", message, "-CAfile", self.active,
            "-binary", "-purpose", "any", "-out", content)
        self.assertEqual(len(self.certificates(content.read_bytes())), 1)
        # The flat readers: the outer bag has the signer and the next CA.
        self.assertEqual(len(self.certificates(answer)), 2)
        self.assertTrue(set(self.certificates(content.read_bytes())) < set(self.certificates(answer)))
        printed = run_bytes("openssl", "cms", "-cmsout", "-print", "-noout", "-inform", "der",
                            data=answer).decode()
        self.assertIn("eContentType: pkcs7-data", printed)
        self.assertIn("signingTime", printed)
        # The next CA begins on the second the active one ends.
        next_pem = self.lab.path("next.pem")
        next_pem.write_bytes(subprocess.run(
            ["openssl", "pkcs7", "-inform", "der", "-print_certs", "-in", content],
            check=True, capture_output=True).stdout)
        following, active = read_certificate(next_pem), read_certificate(self.active)
        self.assertEqual(following.not_before, active.not_after)
        self.assertEqual(following.subject, active.subject)
        self.assertEqual(following.not_after - following.not_before,
                         active.not_after - active.not_before)

    def test_its_signature_is_the_active_cas_and_no_other(self):
        self.ca.exec("crypto pki server ROOTCA rollover")
        message = self.lab.path("next.der")
        answer = bytearray(self.next_ca())
        answer[-1] ^= 1
        message.write_bytes(answer)
        forged = run("openssl", "cms", "-verify", "-inform", "der", "-in", message, "-CAfile",
                     self.active, "-binary", "-purpose", "any", ok=False)
        self.assertNotEqual(forged.returncode, 0)

    def test_our_client_holds_a_shadow_identity_before_the_switch_and_uses_it_after(self):
        spoke = self.lab.daemon("spoke", f"""hostname spoke-1
clock calendar-valid
crypto pki trustpoint Root-CA
 enrollment url http://127.0.0.1:{self.port}
 subject-name CN=spoke-1
 enrollment spread 0
 fingerprint {fingerprint(ca_der(self.port))}
 auto-enroll 80 regenerate
 storage pem {self.lab.path("pem")}
""", "--debug", *standing_at(time.time()))
        published = self.lab.path("pem") / "cert.pem"
        wait_for("the first identity", published.exists)
        active = read_certificate(self.active)
        for daemon in (self.ca, spoke):
            daemon.stop()

        # A month before the end of the CA: what was missed is made up for, and SHADOW is due.
        late = active.not_after.timestamp() - 30 * 86400
        self.ca.options = spoke.options = ("--debug", *standing_at(late))
        self.ca.start()
        spoke.start()
        wait_for("the renewal or the shadow", lambda: "SHADOW_CERT" in spoke.log() or
                 spoke.log().count("CERTRET") >= 2)
        for daemon in (spoke, self.ca):
            daemon.stop()
        soon = active.not_after.timestamp() - 86400
        self.ca.options = spoke.options = ("--debug", *standing_at(soon))
        self.ca.start()
        spoke.start()
        wait_for("the shadow identity", lambda: "SHADOW_CERT" in spoke.log())
        before = read_certificate(published)
        self.assertLessEqual(before.not_after, active.not_after)
        screen = spoke.exec("show crypto pki certificates")
        self.assertIn("(Rollover)", screen)
        for daemon in (spoke, self.ca):
            daemon.stop()

        self.ca.options = spoke.options = ("--debug",
                                           *standing_at(active.not_after.timestamp()))
        self.ca.start()
        spoke.start()
        wait_for("the switch", lambda: read_certificate(published).serial != before.serial)
        after = read_certificate(published)
        self.assertEqual(after.not_before, active.not_after, "the shadow begins at the switch")
        self.assertEqual(
            run("openssl", "verify", "-attime", int(active.not_after.timestamp()), "-CAfile",
                self.lab.path("pem") / "ca.pem", published).strip(), f"{published}: OK")
        self.assertNotEqual(fetch(f"http://127.0.0.1:{self.port}/scep?operation=GetCACert"), None)
        self.assertEqual(ca_der(self.port), run_bytes(
            "openssl", "x509", "-outform", "der",
            data=(self.lab.path("pem") / "ca.pem").read_bytes()))
        self.assertGreater(after.not_after, datetime.datetime.now(datetime.timezone.utc))

    def test_a_third_party_enrols_while_both_cas_exist(self):
        self.ca.exec("crypto pki server ROOTCA rollover")
        peer = StrongSwan(self.lab, self.port)
        self.assertEqual(peer.enroll().issuer, read_certificate(self.active).subject)


if __name__ == "__main__":
    unittest.main()
