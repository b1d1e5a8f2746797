"""An agent of many trustpoints, and one that has nothing to do."""

import os
import pathlib
import re
import time
import unittest

from umbra_lab import Lab, ca_der, fingerprint, free_port, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
MANY = 10_000


def tasks(pid):
    return list(pathlib.Path(f"/proc/{pid}/task").iterdir())


def switches(pid):
    """How often the process was woken or gave way, all its threads together."""
    found = 0
    for task in tasks(pid):
        for line in (task / "status").read_text().splitlines():
            if "_ctxt_switches" in line:
                found += int(line.split()[1])
    return found


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE).group(1))


class AgentTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))

    def agent(self, count, more):
        text = "hostname hub\nclock calendar-valid\n" + "".join(
            f"crypto pki trustpoint T{i}\n{more}" for i in range(count))
        return self.lab.daemon("agent", text)

    def assert_sleeps(self, agent):
        pid = agent.process.pid
        time.sleep(1.5)  # what the last command to it, and a line of the audit log, left behind
        before = switches(pid)
        time.sleep(2)
        self.assertLessEqual(switches(pid) - before, 2, "it wakes up with nothing to do")

    def test_ten_thousand_trustpoints_take_no_thread_each_and_no_polling(self):
        # Nobody listens there: all have called, and call again an hour later.
        agent = self.agent(MANY, f" enrollment url http://127.0.0.1:{free_port()}\n"
                                 f" enrollment retry period 60\n fingerprint {'A5' * 32}\n"
                                 " auto-enroll 80\n")

        wait_for("all to have called", lambda: agent.log().count("%UMBRA-4-NO_ANSWER") == MANY, 120, 1)
        self.assertEqual(agent.exec("show crypto pki timers").count("RENEW T"), MANY)
        self.assertLess(len(tasks(agent.process.pid)), 20)
        self.assert_sleeps(agent)

    def test_an_idle_agent_sleeps_and_is_small(self):
        port = free_port()
        self.lab.daemon("ca", server_text(port))
        agent = self.agent(1, f" enrollment url http://127.0.0.1:{port}\n enrollment spread 0\n"
                              f" fingerprint {fingerprint(ca_der(port))}\n auto-enroll 80\n")
        wait_for("its certificate", lambda: "RENEW T0" in agent.exec("show crypto pki timers"))
        self.assert_sleeps(agent)
        self.assertLess(resident_kib(agent.process.pid), 15 * 1024)


if __name__ == "__main__":
    unittest.main()
