"""A CA, and an agent with trustpoints, shortly before the CA's switch; on real clocks, so that programs
that know no other believe the certificates."""

import shutil
import time

from peers import read_certificate
from umbra_lab import LabError, ca_der, fingerprint, free_port, server_text, standing_at, wait_for

HOUR = 3600


def trustpoint_text(name, port, pin, lines):
    block = "\n".join(f" {line}" for line in lines)
    return (f"crypto pki trustpoint {name}\n enrollment url http://127.0.0.1:{port}\n enrollment spread 0\n"
            f" fingerprint {pin}\n auto-enroll 80\n{block}\n")


class Overlap:
    """`blocks`: trustpoint -> its lines, which keep its files in directory(trustpoint). When the
    constructor is through, every trustpoint has its shadow certificate, and the CA has a while yet."""

    def __init__(self, lab, blocks, ca_lines=()):
        self.lab = lab
        self.names = list(blocks)
        for ahead in (25, 60, 180):
            self._make(blocks, ca_lines, ahead)
            self.switch_at = read_certificate(self.directory(self.names[0]) / "cert.pem"
                                              ).not_after.timestamp()
            if self.left() > 10:
                return
            self._end()  # a slow machine: once more, with more time
        raise LabError("this machine cannot make a CA and a few certificates within three minutes")

    def left(self):
        return self.switch_at - time.time()

    def directory(self, name):
        return self.lab.path(f"files-{name}")

    def _make(self, blocks, ca_lines, ahead):
        """The enrolment an hour before the switch, by a clock that stands still; then the present."""
        standing = standing_at(time.time() + ahead - HOUR)
        port = free_port()
        self.ca = self.lab.daemon("ca", server_text(
            port, lines=["lifetime ca-certificate 0 1 0", "auto-rollover 0 0 30",
                         "subject-alt-name copy", *ca_lines]), "--debug", *standing)
        pin = fingerprint(ca_der(port))
        self.agent = self.lab.daemon("agent", "hostname agent\nclock calendar-valid\n" + "".join(
            trustpoint_text(name, port, pin, lines) for name, lines in blocks.items()),
            "--debug", *standing)
        for name in self.names:
            wait_for(f"the certificate of {name}", (self.directory(name) / "cert.pem").exists)
        for daemon in (self.agent, self.ca):
            daemon.stop()
            daemon.options = ("--debug",)
        self.ca.start()
        wait_for("the rollover CA certificate",
                 lambda: "available" in self.ca.exec("show crypto pki server ROOTCA"))
        self.agent.start()
        for name in self.names:
            wait_for(f"the shadow certificate of {name}",
                     (self.directory(name) / "rollover" / "cert.pem").exists)

    def _end(self):
        for daemon in (self.agent, self.ca):
            daemon.stop()
            self.lab.daemons.remove(daemon)
            shutil.rmtree(daemon.data)
        for name in self.names:
            shutil.rmtree(self.directory(name))
