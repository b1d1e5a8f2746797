"""Two of strongSwan's charons with an agent's files, while their CA is replaced: the recipe of
docs/CLIENT.md. Each in a network of its own, joined by a virtual cable; the IPsec is charon's own
(kernel-libipsec), so that the kernel needs none."""

import os
import re
import unittest

from overlap import Overlap
from peers import read_certificate
from umbra_lab import Lab, run, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")

STRONGSWAN = """charon {{
  load_modular = no
  load = random nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey revocation constraints kernel-libipsec \
kernel-netlink socket-default vici
  make_before_break = yes
  install_virtual_ip = no
  filelog {{
    all {{
      path = {path}/charon.log
      time_format = %s
      default = 1
      flush_line = yes
    }}
  }}
  plugins {{
    vici {{
      socket = unix://{path}/vici
    }}
  }}
}}
"""

SWANCTL = """connections {{
  peer {{
    version = 2
    local_addrs = 192.0.2.{own}
    remote_addrs = 192.0.2.{other}
    reauth_time = {reauth}
    over_time = 20s
    encap = yes
    local {{
      auth = pubkey
      id = "CN={name}"
    }}
    remote {{
      auth = pubkey
      id = "CN={peer}"
    }}
    children {{
      net {{
        local_ts = 10.{own}.0.1/32
        remote_ts = 10.{other}.0.1/32
      }}
    }}
  }}
}}
"""

# What the recipe has in /etc/swanctl: links into the directory of `storage pem`.
LINKS = {"x509/cert.pem": "cert.pem", "private/key.pem": "key.pem", "x509ca/ca.pem": "ca.pem",
         "x509ca/rollover.pem": "rollover/ca.pem", "x509ca/previous.pem": "previous/ca.pem"}


class Gateway:
    """One charon in a network and with a /run of its own, which end with its first process."""

    def __init__(self, lab, name, own, other, peer, reauth):
        self.lab, self.name, self.own = lab, name, own
        self.path = lab.path(f"charon-{name}")
        self.files = lab.path(f"files-{name}")
        for link, target in LINKS.items():
            at = self.path / link
            at.parent.mkdir(parents=True, exist_ok=True)
            at.symlink_to(self.files / target)
        (self.path / "strongswan.conf").write_text(STRONGSWAN.format(path=self.path))
        (self.path / "swanctl.conf").write_text(SWANCTL.format(
            own=own, other=other, name=name, peer=peer, reauth=reauth))
        self.environment = {**os.environ, "STRONGSWAN_CONF": str(self.path / "strongswan.conf"),
                            "SWANCTL_DIR": str(self.path)}
        # As `systemctl reload strongswan` does it.
        self.hook = lab.write(f"charon-{name}/on-change", f"""#!/bin/sh
echo "$UMBRA_EVENT" >>{self.path}/told
[ -S {self.path}/vici ] || exit 0
export STRONGSWAN_CONF={self.path}/strongswan.conf SWANCTL_DIR={self.path}
swanctl --reload --uri unix://{self.path}/vici &&
  exec swanctl --load-all --clear --noprompt --uri unix://{self.path}/vici
""")
        self.hook.chmod(0o755)
        self.holder = lab.spawn("unshare", "--net", "--mount", "sleep", "infinity")

    def inside(self, *command):
        return ("nsenter", "--target", str(self.holder.pid), "--net", "--mount", *command)

    def start(self):
        run(*self.inside("mount", "-t", "tmpfs", "tmpfs", "/run"))
        run(*self.inside("ip", "link", "set", "lo", "up"))
        run(*self.inside("ip", "address", "add", f"10.{self.own}.0.1/32", "dev", "lo"))
        run(*self.inside("ip", "address", "add", f"192.0.2.{self.own}/24", "dev", "cable"))
        run(*self.inside("ip", "link", "set", "cable", "up"))
        self.charon = self.lab.spawn(*self.inside("/usr/lib/ipsec/charon"), env=self.environment)
        # The socket is there a moment before charon listens on it.
        wait_for("charon", lambda: (self.path / "vici").exists() and self.answers())
        self.swanctl("--load-all", "--noprompt")

    def answers(self):
        return self.swanctl("--stats", ok=False).returncode == 0

    def swanctl(self, *words, ok=True):
        return run("swanctl", *words, "--uri", f"unix://{self.path}/vici", env=self.environment,
                   ok=ok)

    def log(self):
        return (self.path / "charon.log").read_text(errors="replace")

    def told(self):
        return (self.path / "told").read_text().split()


def serials(gateway):
    """Of the certificates that charon has, its own, its peers' and CAs'."""
    listed = gateway.swanctl("--list-certs", "--type", "x509")
    return [text.replace(":", "").upper() for text in re.findall(r"serial: +([0-9a-f:]+)", listed)]


class TunnelTest(unittest.TestCase):
    def setUp(self):
        probe = run("unshare", "--net", "--mount", "true", ok=False)
        if probe.returncode != 0:
            self.skipTest(f"no network namespaces here: {probe.stderr.strip()}")
        try:
            os.close(os.open("/dev/net/tun", os.O_RDWR))
        except OSError as error:
            self.skipTest(f"no TUN devices here, which charon's IPsec needs: {error}")
        self.lab = self.enterContext(Lab(BUILD))

    def test_a_tunnel_stays_up_and_is_authenticated_anew_through_a_switch(self):
        a = Gateway(self.lab, "a", 1, 2, "b", "3s")
        b = Gateway(self.lab, "b", 2, 1, "a", "0")
        site = Overlap(self.lab, {
            gateway.name: [f"subject-name CN={gateway.name}", "fqdn none",
                           f"storage pem {gateway.files}", f"on change exec {gateway.hook}"]
            for gateway in (a, b)})
        run("ip", "link", "add", "name", "cable", "netns", str(a.holder.pid), "type", "veth", "peer",
            "name", "cable", "netns", str(b.holder.pid))
        b.start()
        a.start()
        a.swanctl("--initiate", "--child", "net")
        old = {gateway: read_certificate(gateway.files / "cert.pem").serial for gateway in (a, b)}
        self.assertIn(old[a], serials(a))

        # Ten times a second through the tunnel; what does not come back in a second is lost.
        ping_log = open(self.lab.path("ping.log"), "w", encoding="utf-8")
        self.addCleanup(ping_log.close)
        ping = self.lab.spawn(*a.inside("ping", "-n", "-D", "-i", "0.1", "-I", "10.1.0.1",
                                        "10.2.0.1"), stdout=ping_log)
        for gateway in (a, b):
            wait_for("the switch", lambda g=gateway: "switch-over" in g.told(), site.left() + 60)
        switch = site.switch_at
        wait_for("the tunnel authenticated by the new CA's certificates", lambda: len(
            self.established(a, switch)) >= 2)
        ping.terminate()
        ping.wait()
        self.assertIn("net", a.swanctl("--list-sas"))

        echoes = [float(at) for at in re.findall(r"^\[([0-9.]+)\] 64 bytes from",
                                                 self.lab.path("ping.log").read_text(), re.M)]
        gaps = [later - earlier for earlier, later in zip(echoes, echoes[1:])]
        before, after = ([at for at in echoes if (at < switch) is side] for side in (True, False))
        print(f"{len(before)} echoes before the switch, {len(after)} after it, the longest silence "
              f"{max(gaps):.1f} s; authenticated {len(self.established(a, 0))} times, "
              f"{len(self.established(a, switch))} of them after it")
        self.assertGreater(len(before), 20)
        self.assertGreater(len(after), 20)
        # IKE says again after 4 seconds what was lost; the tunnel is up all the same.
        self.assertLess(max(gaps), 6, "the tunnel was up all the time")
        for gateway in (a, b):
            self.assertNotIn("AUTHENTICATION_FAILED", gateway.log())
            self.assertNotIn(old[gateway], serials(gateway), "the old certificate is gone")
        # And from nothing, as after a reboot.
        a.swanctl("--terminate", "--ike", "peer")
        a.swanctl("--initiate", "--child", "net")

    @staticmethod
    def established(gateway, since):
        return [int(at) for at in re.findall(r"^(\d+) .*IKE_SA peer\[\d+\] established between",
                                             gateway.log(), re.M) if int(at) > since]


if __name__ == "__main__":
    unittest.main()
