#!/usr/bin/env python3
"""A root, a subordinate CA, a registration authority below that and two spokes, one of them behind the
RA: five daemons over real HTTP in a time-lapse. The root rolls over, then the subordinate, then the RA
and the spokes, and the chains hold for openssl on both sides of the switch."""

import datetime
import os
import pathlib
import time
import unittest

from umbra_lab import Lab, ca_der, der_to_pem, fingerprint, free_port, offered, run, wait_for

BUILD = pathlib.Path(os.environ.get("UMBRA_BUILD", "build/release"))
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
DAYS_A_SECOND = 4
# Real time for the first keys and for the grant by hand, while the virtual clock stands at START.
HEAD_START_SECONDS = 20
LIFE = 120


def head(port, host):
    return (f"hostname {host}\nclock calendar-valid\nip http server\nip http address 127.0.0.1\n"
            f"ip http port {port}\n")


def issuer(pem):
    return run("openssl", "x509", "-noout", "-issuer", "-in", pem)


class Hierarchy(unittest.TestCase):
    def test_root_then_subordinate_then_ra_and_spokes(self):
        with Lab(BUILD) as lab:
            self.story(lab)

    def verify(self, day, root, sub, spoke):
        """openssl's verdict on the chain at a virtual day."""
        at = int((START + datetime.timedelta(days=day)).timestamp())
        done = run("openssl", "verify", "-attime", at, "-CAfile", root, "-untrusted", sub, spoke,
                   ok=False)
        return done.returncode == 0

    def story(self, lab):
        anchor = time.time() + HEAD_START_SECONDS
        lapse = ("--time-lapse", f"{START:%Y-%m-%dT%H:%M:%SZ}@{DAYS_A_SECOND * 86400}@{anchor:.3f}")
        root_port, sub_port, ra_port = free_port(), free_port(), free_port()
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
 grant auto rollover ra-cert
 lifetime crl 336
 auto-rollover 45
 mode sub-cs
 no shutdown
crypto pki trustpoint SUB
 enrollment url http://127.0.0.1:{root_port}
 enrollment spread 0
 fingerprint {fingerprint(root_der)}
""", *lapse)
        wait_for("the subordinate's request to wait at the root",
                 lambda: "pending" in root.exec("show crypto pki server ROOT requests"))
        root.exec("crypto pki server ROOT grant 1")
        # The next poll is a virtual minute later: at once, when the clock runs.
        wait_for("the subordinate to be enabled", lambda: "CS_ENABLED" in sub.log(), 60)
        sub_der = ca_der(sub_port)
        ra = lab.daemon("ra", head(ra_port, "ra") + f"""crypto pki server RA
 grant auto
 mode ra
 no shutdown
crypto pki trustpoint RA
 enrollment url http://127.0.0.1:{sub_port}
 enrollment spread 0
 subject-name CN=RA,OU=ioscs RA
 fingerprint {fingerprint(sub_der)}
""", *lapse)
        wait_for("the RA's request to wait at the subordinate",
                 lambda: "pending" in sub.exec("show crypto pki server SUB requests"))
        sub.exec("crypto pki server SUB grant 1")
        wait_for("the RA to be enabled", lambda: "CS_ENABLED" in ra.log(), 60)
        spokes = {}
        for name, port in (("spoke-1", sub_port), ("spoke-2", ra_port)):
            spokes[name] = lab.daemon(name, f"""hostname {name}
clock calendar-valid
crypto pki trustpoint SUB
 enrollment url http://127.0.0.1:{port}
 subject-name CN={name},O=Umbra
 auto-enroll 80
 fingerprint {fingerprint(sub_der)}
 storage pem {lab.path(name + "-pem")}
""", *lapse)

        def certificate(name):
            return lab.path(name + "-pem") / "cert.pem"

        for name in spokes:
            wait_for(f"the certificate of {name}", certificate(name).exists)
        self.assertIn("granted", ra.exec("show crypto pki server RA requests"))
        self.assertEqual(issuer(certificate("spoke-2")), issuer(certificate("spoke-1")))

        def keep(when):
            lab.path(f"root-{when}.pem").write_bytes(der_to_pem(ca_der(root_port)))
            lab.path(f"sub-{when}.pem").write_bytes(der_to_pem(ca_der(sub_port)))
            for name in spokes:
                lab.path(f"{name}-{when}.pem").write_bytes(certificate(name).read_bytes())

        wait_for("the root's rollover", lambda: "CS_ROLLOVER" in root.log(), 60)
        wait_for("the subordinate's rollover", lambda: "CS_ROLLOVER" in sub.log(), 60)
        wait_for("the RA's rollover", lambda: "RA_ROLLOVER" in ra.log(), 60)
        for name, spoke in spokes.items():
            wait_for(f"the shadow certificate of {name}", lambda s=spoke: "SHADOW_CERT" in s.log(), 60)
        keep("before")
        wait_for("the root's switch", lambda: "CS_SWITCHOVER" in root.log(), 60)
        wait_for("the subordinate's switch", lambda: "CS_SWITCHOVER" in sub.log(), 60)
        wait_for("the RA's switch", lambda: "RA_SWITCHOVER" in ra.log(), 60)
        for name in spokes:
            before = lab.path(f"{name}-before.pem").read_bytes()
            wait_for(f"the switch of {name}",
                     lambda n=name, b=before: certificate(n).read_bytes() != b, 60)
        keep("after")
        for name in spokes:
            chain = {when: [lab.path(f"{who}-{when}.pem") for who in ("root", "sub", name)]
                     for when in ("before", "after")}
            self.assertTrue(self.verify(LIFE - 0.1, *chain["before"]))
            self.assertFalse(self.verify(LIFE + 0.1, *chain["before"]))
            self.assertFalse(self.verify(LIFE - 0.1, *chain["after"]))
            self.assertTrue(self.verify(LIFE + 0.1, *chain["after"]))
        # What the RA hands out after the switch is the new CA and a certificate of it.
        handed = offered(ra_port)
        lab.path("ra-after.pem").write_bytes(handed[1])
        self.assertEqual(handed[0], lab.path("sub-after.pem").read_bytes())
        self.assertTrue(self.verify(LIFE + 0.1, lab.path("root-after.pem"),
                                    lab.path("sub-after.pem"), lab.path("ra-after.pem")))
        self.assertIn("Server configured in RA mode", ra.exec("show crypto pki server"))
        self.assertIn("Certificate (RA mode CS certificate)",
                      ra.exec("show crypto pki certificates"))
        self.assertIn("Upper CA cert fingerprint:", sub.exec("show crypto pki server"))
        self.assertIn("Certificate (subordinate CA certificate)",
                      sub.exec("show crypto pki certificates"))
        for daemon in lab.daemons:
            self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main()
