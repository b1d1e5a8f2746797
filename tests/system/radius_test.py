"""FreeRADIUS and a supplicant with an agent's files, while their CA is replaced: the recipe of
docs/CLIENT.md."""

import contextlib
import os
import re
import signal
import subprocess
import time
import unittest

from overlap import Overlap
from peers import read_certificate
from umbra_lab import Lab, free_port, run_bytes

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
SECRET = "between-us"
# RADIUS says again what got no answer, after three seconds: a server that is being started anew is
# waited for.
PATIENCE = 20

RADIUSD = """name = freeradius
prefix = /usr
libdir = /usr/lib/freeradius
run_dir = {path}
pidfile = {path}/freeradius.pid
max_request_time = 30
cleanup_delay = 5
log {{
  destination = files
  file = {path}/freeradius.log
  auth = yes
}}
security {{
  max_attributes = 200
  reject_delay = 0
}}
thread pool {{
}}
client loopback {{
  ipaddr = 127.0.0.1
  secret = {secret}
}}
modules {{
  eap {{
    default_eap_type = tls
    timer_expire = 60
    max_sessions = 1024
    tls-config tls-common {{
      certificate_file = {files}/cert.pem
      private_key_file = {files}/key.pem
      ca_file = {files}/ca.pem
    }}
    tls {{
      tls = tls-common
    }}
  }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
  }}
  authorize {{
    eap
  }}
  authenticate {{
    eap
  }}
}}
"""

SUPPLICANT = """network={{
  key_mgmt=IEEE8021X
  eap=TLS
  identity="client"
  ca_cert="{files}/ca.pem"
  client_cert="{files}/cert.pem"
  private_key="{files}/key.pem"
}}
"""


class RadiusTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()
        self.path = self.lab.path("radius")
        self.addCleanup(self.end_freeradius)

    def pid(self):
        with contextlib.suppress(OSError, ValueError):
            return int((self.path / "freeradius.pid").read_text())
        return None

    def end_freeradius(self):
        if pid := self.pid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def authenticate(self):
        """A handshake of EAP-TLS by its own process: (when it began, when it ended, is it let in,
        serial of the server's certificate, what was said)."""
        seen = self.lab.path("seen.pem")
        seen.unlink(missing_ok=True)
        began = time.time()
        done = subprocess.run(
            ["eapol_test", "-c", self.lab.path("supplicant.conf"), "-a", "127.0.0.1", "-p",
             str(self.port), "-s", SECRET, "-t", str(PATIENCE), "-o", seen],
            capture_output=True, text=True, errors="replace", check=False)
        good = done.returncode == 0 and done.stdout.rstrip().endswith("SUCCESS")
        ended = time.time()
        return began, ended, good, self.server_serial(seen) if good else None, done.stdout[-3000:]

    @staticmethod
    def server_serial(seen):
        """Of the server's certificate: in what it has sent, the CA comes first."""
        end = b"-----END CERTIFICATE-----\n"
        leaf = seen.read_bytes().split(end)[-2] + end
        return run_bytes("openssl", "x509", "-noout", "-serial", data=leaf).decode().strip().split("=")[1]

    def test_supplicants_are_let_in_on_both_sides_of_a_switch(self):
        radius, client = self.lab.path("files-radius"), self.lab.path("files-client")
        self.lab.write("radius/radiusd.conf", RADIUSD.format(
            path=self.path, files=radius, port=self.port, secret=SECRET))
        self.lab.write("supplicant.conf", SUPPLICANT.format(files=client))
        told = self.lab.path("told")
        # As `systemctl restart freeradius` does it: ended, waited for, started; then it says when.
        restart = self.lab.write("restart", f"""#!/bin/sh
if [ -e {self.path}/freeradius.pid ]; then
  kill $(cat {self.path}/freeradius.pid)
  while [ -e {self.path}/freeradius.pid ]; do sleep 0.05; done
  until freeradius -d {self.path} -n radiusd; do sleep 0.1; done
fi
echo "$UMBRA_EVENT $(date +%s.%N)" >>{told}
""")
        restart.chmod(0o755)
        site = Overlap(self.lab, {
            "radius": ["subject-name CN=radius", f"storage pem {radius} include rollover-ca",
                       f"on change exec {restart}"],
            "client": ["subject-name CN=client", f"storage pem {client} include rollover-ca"]})
        self.lab.spawn("freeradius", "-d", self.path, "-n", "radiusd").wait(30)
        old = {files: read_certificate(files / "cert.pem").serial for files in (radius, client)}

        attempts = []
        while not told.exists() or "switch-over" not in told.read_text():
            self.assertGreater(site.left(), -60, "the switch is told of")
            attempts.append(self.authenticate())
        switch = site.switch_at
        end = time.time() + 30
        while time.time() < end and sum(one[2] for one in attempts if one[0] > switch + 1) < 20:
            attempts.append(self.authenticate())

        restarted = float(re.search(r"^switch-over (\S+)$", told.read_text(), re.M).group(1))
        before = [one for one in attempts if one[1] < switch - 1]
        after = [one for one in attempts if one[0] > restarted]
        refused = [(round(began - switch, 2), round(ended - switch, 2))
                   for began, ended, good, *_ in attempts if not good]
        print(f"{len(before)} handshakes before the switch, {len(after)} after it; restarted "
              f"{restarted - switch:.2f} s after it; refused: {refused}")
        self.assertGreater(len(before), 10)
        self.assertGreater(len(after), 10)
        for began, _, good, serial, said in before:
            self.assertTrue(good, said)
            self.assertEqual(serial, old[radius], began - switch)
        # OpenSSL, which both use, ends a certificate at the beginning of its last second: until the
        # server has been started anew, it has nothing that is valid, and it forgets the handshakes
        # that it was in the middle of. Who is neither then nor there is not refused.
        self.assertTrue(all(ended >= -1 and began <= restarted - switch for began, ended in refused),
                        refused)
        new = {files: read_certificate(files / "cert.pem").serial for files in (radius, client)}
        for files in (radius, client):
            self.assertNotEqual(new[files], old[files])
        for began, _, good, serial, said in after:
            self.assertTrue(good, said)
            self.assertEqual(serial, new[radius], began - switch)
        log = (self.path / "freeradius.log").read_text()
        self.assertEqual(len(re.findall(r"Login OK", log)), sum(one[2] for one in attempts))


if __name__ == "__main__":
    unittest.main()
