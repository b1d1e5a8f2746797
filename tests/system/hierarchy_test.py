#!/usr/bin/env python3
"""A root, a subordinate CA and a spoke, three daemons over real HTTP in a time-lapse: the root rolls
over, then the subordinate, then the spoke, and the chain holds for openssl on both sides of the
switch."""

import datetime
import os
import pathlib
import time
import unittest

from umbra_lab import Lab, ca_der, der_to_pem, fingerprint, free_port, run, wait_for

BUILD = pathlib.Path(os.environ.get("UMBRA_BUILD", "build/release"))
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
DAYS_A_SECOND = 4
# Real time for the first keys and for the grant by hand, while the virtual clock stands at START.
HEAD_START_SECONDS = 20
LIFE = 120


def head(port, host):
    return (f"hostname {host}\nclock calendar-valid\nip http server\nip http address 127.0.0.1\n"
            f"ip http port {port}\n")


class Hierarchy(unittest.TestCase):
    def test_root_then_subordinate_then_spoke(self):
        with Lab(BUILD) as lab:
            self.story(lab)

    def verify(self, lab, day, root, sub, spoke):
        """openssl's verdict on the chain at a virtual day."""
        at = int((START + datetime.timedelta(days=day)).timestamp())
        done = run("openssl", "verify", "-attime", at, "-CAfile", root, "-untrusted", sub, spoke,
                   ok=False)
        return done.returncode == 0

    def story(self, lab):
        anchor = time.time() + HEAD_START_SECONDS
        lapse = ("--time-lapse", f"{START:%Y-%m-%dT%H:%M:%SZ}@{DAYS_A_SECOND * 86400}@{anchor:.3f}")
        root_port, sub_port = free_port(), free_port()
        root = lab.daemon("root", head(root_port, "root") + f"""crypto pki server ROOT
 issuer-name CN=Root,O=Umbra
 grant auto
 grant auto rollover ca-cert
 lifetime ca-certificate {LIFE}
 lifetime crl 336
 auto-rollover 60
 no shutdown
""", *lapse)
        root_der = ca_der(root_port)
        sub = lab.daemon("sub", head(sub_port, "sub") + f"""crypto pki server SUB
 issuer-name CN=Sub,O=Umbra
 grant auto
 lifetime crl 336
 auto-rollover 45
 mode sub-cs
 no shutdown
crypto pki trustpoint SUB
 enrollment url http://127.0.0.1:{root_port}
 fingerprint {fingerprint(root_der)}
""", *lapse)
        wait_for("the subordinate's request to wait at the root",
                 lambda: "pending" in root.exec("show crypto pki server ROOT requests"))
        root.exec("crypto pki server ROOT grant 1")
        # The next poll is a virtual minute later: at once, when the clock runs.
        wait_for("the subordinate to be enabled", lambda: "CS_ENABLED" in sub.log(), 60)
        sub_der = ca_der(sub_port)
        directory = lab.path("pem")
        lab.daemon("spoke", f"""hostname spoke-1
clock calendar-valid
crypto pki trustpoint SUB
 enrollment url http://127.0.0.1:{sub_port}
 subject-name CN=spoke-1,O=Umbra
 auto-enroll 80
 fingerprint {fingerprint(sub_der)}
 storage pem {directory}
""", *lapse)
        wait_for("the spoke's certificate", lambda: (directory / "cert.pem").exists())
        spoke = lab.daemons[-1]

        def keep(when):
            lab.path(f"root-{when}.pem").write_bytes(der_to_pem(ca_der(root_port)))
            lab.path(f"sub-{when}.pem").write_bytes(der_to_pem(ca_der(sub_port)))
            lab.path(f"spoke-{when}.pem").write_bytes((directory / "cert.pem").read_bytes())

        wait_for("the root's rollover", lambda: "CS_ROLLOVER" in root.log(), 60)
        wait_for("the subordinate's rollover", lambda: "CS_ROLLOVER" in sub.log(), 60)
        wait_for("the spoke's shadow certificate", lambda: "SHADOW_CERT" in spoke.log(), 60)
        keep("before")
        wait_for("the root's switch", lambda: "CS_SWITCHOVER" in root.log(), 60)
        wait_for("the subordinate's switch", lambda: "CS_SWITCHOVER" in sub.log(), 60)
        before = lab.path("spoke-before.pem").read_bytes()
        wait_for("the spoke's switch", lambda: (directory / "cert.pem").read_bytes() != before, 60)
        keep("after")
        chain = {when: [lab.path(f"{who}-{when}.pem") for who in ("root", "sub", "spoke")]
                 for when in ("before", "after")}
        self.assertTrue(self.verify(lab, LIFE - 0.1, *chain["before"]))
        self.assertFalse(self.verify(lab, LIFE + 0.1, *chain["before"]))
        self.assertFalse(self.verify(lab, LIFE - 0.1, *chain["after"]))
        self.assertTrue(self.verify(lab, LIFE + 0.1, *chain["after"]))
        self.assertIn("Upper CA cert fingerprint:", sub.exec("show crypto pki server"))
        self.assertIn("Certificate (subordinate CA certificate)",
                      sub.exec("show crypto pki certificates"))
        for daemon in lab.daemons:
            self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main()
