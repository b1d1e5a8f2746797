"""A client whose way to its CA lies in a VRF: two network namespaces, a cable, and a VRF device of the
kernel's that the client's end of it belongs to."""

import os
import sys
import unittest

from umbra_lab import Lab, fingerprint, run, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
VRF = "BLUE"
CLIENT = "192.0.2.1"
CA = "192.0.2.2"
PORT = 8080


class Host:
    """A network namespace, as long as the process that holds it."""

    def __init__(self, lab):
        self.holder = lab.spawn("unshare", "--net", "sleep", "infinity")
        own = os.readlink("/proc/self/ns/net")
        wait_for("a network namespace",
                 lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != own)

    def inside(self, *command):
        return ("nsenter", "--target", str(self.holder.pid), "--net", *command)

    def ip(self, *words, ok=True):
        return run(*self.inside("ip", *words), ok=ok)


class VrfTest(unittest.TestCase):
    def setUp(self):
        probe = run("unshare", "--net", "true", ok=False)
        if probe.returncode != 0:
            self.skipTest(f"no network namespaces here: {probe.stderr.strip()}")
        self.lab = self.enterContext(Lab(BUILD))
        self.client = Host(self.lab)
        self.ca = Host(self.lab)
        made = self.client.ip("link", "add", VRF, "type", "vrf", "table", "10", ok=False)
        if made.returncode != 0:
            self.skipTest(f"this kernel has no VRF devices: {made.stderr.strip()}")
        run("ip", "link", "add", "name", "cable", "netns", str(self.client.holder.pid), "type", "veth",
            "peer", "name", "cable", "netns", str(self.ca.holder.pid))
        for host in (self.client, self.ca):
            host.ip("link", "set", "lo", "up")
        self.client.ip("link", "set", VRF, "up")
        self.client.ip("link", "set", "cable", "master", VRF)
        for host, address in ((self.client, CLIENT), (self.ca, CA)):
            host.ip("address", "add", f"{address}/24", "dev", "cable")
            host.ip("link", "set", "cable", "up")

    def test_what_the_client_sends_goes_through_the_vrf_and_no_other_way(self):
        text = server_text(PORT).replace("ip http address 127.0.0.1", f"ip http address {CA}")
        self.lab.daemon("ca", text, prefix=self.ca.inside())
        # Asked from its own host, for the fingerprint.
        der = bytes.fromhex(run(*self.ca.inside(
            sys.executable, "-c",
            "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().hex())",
            f"http://{CA}:{PORT}/cgi-bin/pkiclient.exe?operation=GetCACert")))
        trustpoint = ("crypto pki trustpoint {name}\n enrollment url http://" f"{CA}:{PORT}\n"
                      " enrollment spread 0\n" f" fingerprint {fingerprint(der)}\n"
                      " subject-name CN={name}\n rsakeypair {name}\n auto-enroll 80\n{more}")
        agent = self.lab.daemon(
            "agent", "hostname hub\nclock calendar-valid\n" + "".join(
                trustpoint.format(name=name, more=more) for name, more in (
                    ("through", f" vrf {VRF}\n"),
                    ("from", f" vrf {VRF}\n source interface {CLIENT}\n"),
                    ("beside", ""),
                    ("nowhere", " vrf RED\n"))),
            prefix=self.client.inside())
        for name in ("through", "from"):
            wait_for(f"the certificate of {name}", lambda n=name: f"RENEW {n}" in agent.exec(
                "show crypto pki timers") and f"cn={n}" in agent.exec(
                    f"show crypto pki certificates {n}").lower())
        # Outside the VRF there is no way to that address, and a VRF that is not there is none.
        for name, why in (("beside", ""), ("nowhere", "VRF RED: No such device")):
            wait_for(f"what {name} says", lambda n=name, w=why: f"Trustpoint {n}: no usable answer "
                     f"from the CA: " in agent.log() and w in agent.log())
            self.assertNotIn(f"cn={name}",
                             agent.exec(f"show crypto pki certificates {name}").lower())


if __name__ == "__main__":
    unittest.main()
