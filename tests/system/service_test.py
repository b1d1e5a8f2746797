"""The rule of docs/CLIENT.md by which the service's user may reload other services, put to Debian's
polkitd on a bus of its own."""

import os
import pathlib
import re
import unittest

from umbra_lab import Lab, run, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
PAGE = pathlib.Path(__file__).parents[2] / "docs" / "CLIENT.md"
RULES = "/etc/polkit-1/rules.d"
MANAGE_UNITS = "org.freedesktop.systemd1.manage-units"
UMBRA, OTHER = 64901, 64902

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>
"""


def the_rule():
    """As it is pasted: what goes into the file."""
    page = PAGE.read_text(encoding="utf-8")
    pasted = re.search(rf"^    cat >({RULES}/\S+\.rules) <<'EOF'\n((?:    .*\n)+?)    EOF\n", page, re.M)
    return pathlib.Path(pasted.group(1)), re.sub(r"^    ", "", pasted.group(2), flags=re.M)


def commands_of_recipes():
    """(verb, service) of what `on change exec` runs there."""
    return re.findall(r"^     on change exec systemctl (\S+) (\S+)$", PAGE.read_text(encoding="utf-8"),
                      re.M)


@unittest.skipUnless(os.geteuid() == 0, "only root has a system bus of its own, and asks polkit about others")
class ServiceTest(unittest.TestCase):
    def setUp(self):
        probe = run("unshare", "--mount", "true", ok=False)
        if probe.returncode != 0:
            self.skipTest(f"no mount namespaces here: {probe.stderr.strip()}")
        self.lab = self.enterContext(Lab(BUILD))
        os.chmod(self.lab.directory, 0o755)
        users = self.lab.write("passwd", pathlib.Path("/etc/passwd").read_text(encoding="utf-8") + "".join(
            f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
            for name, number in (("umbra", UMBRA), ("other", OTHER))))
        self.bus = self.lab.path("bus")
        self.holder = self.lab.spawn("unshare", "--mount", "sleep", "infinity")
        own = os.readlink("/proc/self/ns/mnt")
        wait_for("a mount namespace",
                 lambda: os.readlink(f"/proc/{self.holder.pid}/ns/mnt") != own)
        run(*self.inside("mount", "--bind", users, "/etc/passwd"))
        run(*self.inside("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", RULES))
        path, text = the_rule()
        run(*self.inside("tee", path), text_in=text)
        self.log = open(self.lab.path("polkitd.log"), "wb")
        self.addCleanup(self.log.close)
        config = self.lab.write("bus.conf", BUS.format(socket=self.bus))
        self.lab.spawn(*self.inside("dbus-daemon", "--nofork", "--nopidfile", "--config-file", config),
                       stdout=self.log, stderr=self.log)
        wait_for("the message bus", self.bus.exists)
        self.environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.bus}"}
        self.lab.spawn(*self.inside("/usr/lib/polkit-1/polkitd", "--no-debug"), env=self.environment,
                       stdout=self.log, stderr=self.log)
        self.askers = {user: self.lab.spawn("setpriv", "--reuid", str(user), "--clear-groups", "sleep",
                                            "infinity") for user in (UMBRA, OTHER)}
        for user, asker in self.askers.items():
            wait_for("a process of that user",
                     lambda u=user, a=asker: os.stat(f"/proc/{a.pid}").st_uid == u)
        wait_for("polkitd", lambda: "Error" not in self.check(UMBRA, MANAGE_UNITS).stderr)

    def inside(self, *command):
        return ("nsenter", "--target", str(self.holder.pid), "--mount", *command)

    def check(self, user, action, **details):
        return run(*self.inside(
            "pkcheck", "--action-id", action, "--process", self.askers[user].pid,
            *[word for name, value in details.items() for word in ("--detail", name, value)]),
            env=self.environment, ok=False)

    def may(self, user, action, **details):
        """1 is no, 2 is no until somebody with a password comes."""
        done = self.check(user, action, **details)
        self.assertIn(done.returncode, (0, 1, 2), done.stderr)
        self.assertNotIn("Error", done.stderr)
        return done.returncode == 0

    def test_what_the_recipes_run_is_allowed_and_nothing_else(self):
        commands = commands_of_recipes()
        self.assertEqual(len(commands), 3, commands)
        for verb, service in commands:
            with self.subTest(verb=verb, service=service):
                asked = {"verb": verb, "unit": f"{service}.service"}
                self.assertTrue(self.may(UMBRA, MANAGE_UNITS, **asked))
                self.assertFalse(self.may(OTHER, MANAGE_UNITS, **asked))
                self.assertFalse(self.may(UMBRA, "org.freedesktop.systemd1.manage-unit-files", **asked))
                self.assertFalse(self.may(UMBRA, MANAGE_UNITS, verb=verb, unit="ssh.service"))
                for other in {"start", "stop", "restart", "reload", "kill", "set-property"} - {verb}:
                    self.assertFalse(
                        self.may(UMBRA, MANAGE_UNITS, verb=other, unit=f"{service}.service"), other)
        # A unit that has no name yet, which may be anything, is asked for without details.
        self.assertFalse(self.may(UMBRA, MANAGE_UNITS))
        self.assertFalse(self.may(UMBRA, MANAGE_UNITS, verb="reload"))
        self.assertFalse(self.may(UMBRA, MANAGE_UNITS, unit="nginx.service"))


if __name__ == "__main__":
    unittest.main()
