"""umbrad as root becomes somebody else before it reads anything, and keeps one right of root's."""

import os
import pathlib
import pwd
import random
import re
import shutil
import unittest

from umbra_lab import Lab, fetch, run, server_text

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
USER = "nobody"
BIND_SERVICE = 1 << 10  # CAP_NET_BIND_SERVICE


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return dict(re.findall(r"(\w+):\t(.*)", text))


@unittest.skipUnless(os.geteuid() == 0, "only root can give root's rights up")
class UserTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        os.chmod(self.lab.directory, 0o755)
        self.user = pwd.getpwnam(USER)

    def own_address(self):
        """Somewhere in 127.0.0.0/8 where nobody else listens on port 80."""
        return ".".join(["127", *(str(random.randrange(1, 255)) for _ in range(3))])

    def test_port_80_without_root(self):
        here, there = self.own_address(), self.own_address()
        daemon = self.lab.daemon("ca", server_text(80).replace("127.0.0.1", here), "--user", USER)
        self.assertTrue(fetch(f"http://{here}/cgi-bin/pkiclient.exe?operation=GetCACert"))
        threads = os.listdir(f"/proc/{daemon.process.pid}/task")
        for thread in threads:
            is_now = status_of(f"{daemon.process.pid}/task/{thread}")
            self.assertEqual(set(is_now["Uid"].split()), {str(self.user.pw_uid)})
            self.assertEqual(set(is_now["Gid"].split()), {str(self.user.pw_gid)})
            self.assertLessEqual(set(is_now["Groups"].split()), {str(self.user.pw_gid)})
            for rights in ("CapEff", "CapPrm", "CapBnd"):
                self.assertEqual(int(is_now[rights], 16), BIND_SERVICE, rights)
            for inherited in ("CapInh", "CapAmb"):
                self.assertEqual(int(is_now[inherited], 16), 0, inherited)
            self.assertEqual(is_now["NoNewPrivs"], "1")
        for path in [daemon.data, *daemon.data.rglob("*")]:
            self.assertEqual(path.lstat().st_uid, self.user.pw_uid, path)
        # The right is kept for this: another place, later.
        daemon.config.write_text(daemon.config.read_text().replace(here, there))
        daemon.exec("configure replace startup-config")
        self.assertTrue(fetch(f"http://{there}/cgi-bin/pkiclient.exe?operation=GetCACert"))
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        self.assertEqual(daemon.stop(), 0)

    def refused(self, *options, prefix=()):
        config = self.lab.write("refused.conf", server_text(80))
        done = run(*prefix, self.lab.build / "umbrad", "--config", config, "--data",
                   self.lab.path("refused"), *options, ok=False)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertFalse(self.lab.path("refused").exists())
        return done.stderr

    def test_what_it_cannot_do_is_said(self):
        self.assertIn("there is no user nobody-at-all", self.refused("--user", "nobody-at-all"))
        self.assertIn("that user is root", self.refused("--user", "root"))
        shutil.copy(pathlib.Path(BUILD) / "umbrad", self.lab.path("umbrad"))
        self.lab.build = self.lab.directory
        self.assertIn("only root can become another user", self.refused(
            "--user", "daemon", prefix=("setpriv", "--reuid", USER, "--clear-groups")))


if __name__ == "__main__":
    unittest.main()
