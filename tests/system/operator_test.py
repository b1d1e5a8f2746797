"""What an operator does by hand on a running server, with umbra exec, strongSwan and openssl."""

import json
import os
import re
import signal
import time
import unittest
import urllib.error

from peers import StrongSwan, chains, read_certificate
from umbra_lab import (Lab, ca_der, fetch, fingerprint, free_port, run, run_bytes, server_text,
                       standing_at, wait_for)

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class OperatorTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()

    def serve(self, *lines, options=(), more=""):
        self.ca = self.lab.daemon("ca", server_text(self.port, lines=lines) + more, "--debug",
                                  *options)

    def crl(self, name):
        text = run_bytes("openssl", "crl", "-inform", "der", "-text", "-noout",
                         data=fetch(f"http://127.0.0.1:{self.port}/crl/{name}")).decode()
        return re.findall(r"Serial Number: (\w+)", text)

    def test_a_one_time_password_is_good_for_one_device(self):
        self.serve("no grant")
        said = self.ca.exec("crypto pki server ROOTCA password generate 10")
        password = re.fullmatch(r"% New password is ([0-9A-F]{20}), valid for 10 minutes\n",
                                said).group(1)
        first = StrongSwan(self.lab, self.port, "first", challenge=password)
        self.assertTrue(chains(self.lab, self.port, first.enroll()))
        second = StrongSwan(self.lab, self.port, "second", challenge=password)
        second.enroll("--interval", 1, "--maxpolltime", 2, ok=False)
        requests = self.ca.exec("crypto pki server ROOTCA info requests")
        self.assertRegex(requests, r"pending +[0-9A-F]{32} cn=second")
        self.assertNotIn(password, self.ca.log())

    def test_a_pasted_request_waits_is_granted_and_shown(self):
        self.serve("no grant")
        key, request = self.lab.path("box.key"), self.lab.path("box.csr")
        run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
            request, "-subj", "/O=Cisco/CN=box")
        command = "crypto pki server ROOTCA request pkcs10 terminal"
        pem = request.read_text()
        said = self.ca.exec(command, text_in=pem + "\nquit\n")
        self.assertIn('% End with a blank line or "quit" on a line by itself.', said)
        self.assertIn("% Enrollment request pending, reqId=1", said)
        granted = self.ca.exec("crypto pki server ROOTCA grant 1")
        self.assertTrue(granted.startswith("% Granted certificate:\n"))
        shown = self.ca.exec(f"crypto pki server ROOTCA request pkcs10 unix:{request} pem")
        certificate = self.lab.path("box.pem")
        certificate.write_text(shown.split("% Granted certificate:\n")[1])
        self.assertTrue(chains(self.lab, self.port, read_certificate(certificate)))
        refused = self.ca.exec(command, ok=False, text_in="this is no request\n\n")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("no PKCS #10 request", refused.stdout)

    def test_renewals_are_granted_by_the_trustpoint_and_first_enrolments_wait(self):
        self.serve("grant auto trustpoint OWN", more=(
            f"crypto pki trustpoint OWN\n enrollment url http://127.0.0.1:{self.port}\n"
            " revocation-check none\n"))
        peer = StrongSwan(self.lab, self.port)
        print_of_ca = fingerprint(ca_der(self.port))
        self.ca.exec(f"crypto pki authenticate OWN fingerprint {print_of_ca}")
        self.assertIn("Granting mode is: auto for trustpoint OWN", self.ca.exec("show crypto pki server"))
        peer.enroll("--interval", 1, "--maxpolltime", 2, ok=False)
        self.ca.exec("crypto pki server ROOTCA remove all")
        password = re.search(r"is (\w+),", self.ca.exec(
            "crypto pki server ROOTCA password generate")).group(1)
        peer.challenge = password
        first = peer.enroll()
        peer.challenge = None
        second = peer.renew()
        self.assertNotEqual(first.serial, second.serial)
        self.ca.exec(f"crypto pki server ROOTCA revoke 0x{second.serial} key-compromise")
        self.assertNotEqual(peer.renew(ok=False).returncode, 0)
        self.assertEqual(self.crl("ROOTCA.crl"), [second.serial])
        self.assertEqual(self.crl("ROOTCA_00000.crl"), [second.serial])

    def test_a_cancel_names_who_holds_the_next_ca(self):
        self.serve(options=standing_at(time.time()))
        peer = StrongSwan(self.lab, self.port)
        peer.enroll()
        self.ca.exec("crypto pki server ROOTCA rollover")
        fetch(f"http://127.0.0.1:{self.port}/cgi-bin/pkiclient.exe?operation=GetNextCACert")

        def report():
            return json.loads(self.ca.exec("show crypto pki server ROOTCA rollover | json"))

        wait_for("the fetch in the report", lambda: report()["fetches"])
        self.assertEqual(report()["fetches"][0]["address"], "127.0.0.1")
        self.assertEqual([one["subject"] for one in report()["clients"]], ["cn=peer,o=Cisco"])
        self.assertEqual(report()["clients_ready"], 0)
        self.assertIn("Clients without: 1", self.ca.exec("show crypto pki server ROOTCA rollover"))
        refused = self.ca.exec("crypto pki server ROOTCA rollover cancel", ok=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("1 address(es) have fetched it", refused.stdout)
        self.assertIsNotNone(report()["rollover"])
        self.ca.exec("crypto pki server ROOTCA rollover cancel force")
        self.assertIsNone(report()["rollover"])

    def status(self, daemon, *options):
        done = run(self.lab.build / "umbra", "status", "--socket", daemon.data / "umbra.sock",
                   *options, ok=False)
        return done.returncode, done.stdout

    def test_monitoring_reads_an_exit_status_and_a_line(self):
        self.serve()
        self.assertEqual(self.status(self.ca)[0], 0)
        self.assertRegex(self.status(self.ca, "--server", "ROOTCA")[1],
                         r"^OK - server ROOTCA: enabled, the CA ends at 20\S+Z, its successor is "
                         r"made in time \| days_left=(729|730)\n$")
        self.assertEqual(self.status(self.ca, "--trustpoint", "ROOTCA"),
                         (3, "UNKNOWN - % There is no trustpoint ROOTCA\n"))
        self.assertEqual(self.status(self.ca, "--server", "A", "--trustpoint", "B")[0], 3)
        # What has its certificate, and what has it and cannot tell anybody.
        agent = self.lab.daemon("agent", "hostname agent\nclock calendar-valid\n" + "".join(
            f"crypto pki trustpoint {name}\n enrollment url http://127.0.0.1:{self.port}\n"
            f" enrollment spread 0\n fingerprint {fingerprint(ca_der(self.port))}\n"
            f" subject-name CN={name}\n auto-enroll 80\n on change exec {command}\n"
            for name, command in (("good", "true"), ("mute", "false"))))
        wait_for("both", lambda: self.status(agent, "--trustpoint", "good")[0] == 0 and
                 self.status(agent, "--trustpoint", "mute")[0] == 1)
        self.assertRegex(self.status(agent, "--trustpoint", "good")[1],
                         r"^OK - trustpoint good: renewed at 20\S+Z, ends at 20\S+Z \| days_left=36[45]\n$")
        self.assertRegex(self.status(agent, "--trustpoint", "mute")[1],
                         r'^WARNING - trustpoint mute: .*; other programs do not have it: files or '
                         r'"on change exec" failed, next try at 20\S+Z \| days_left=36[45]\n$')
        self.assertEqual(self.status(agent)[0], 1, "the worst of all")
        self.ca.exec("crypto pki server ROOTCA stop")
        code, said = self.status(self.ca)
        self.assertEqual(code, 1)
        self.assertTrue(said.startswith("WARNING - server ROOTCA: shut down"), said)
        spoke = self.lab.daemon("spoke", "hostname spoke\ncrypto pki trustpoint Root-CA\n"
                                f" enrollment url http://127.0.0.1:{self.port}\n"
                                "clock calendar-valid\n")
        self.assertEqual(self.status(spoke, "--trustpoint", "Root-CA"),
                         (2, "CRITICAL - trustpoint Root-CA: the CA is not authenticated "
                             "| days_left=0\n"))
        # A daemon that is stuck, and one that is not there.
        spoke.process.send_signal(signal.SIGSTOP)
        code, said = self.status(spoke, "--timeout", "0.2")
        spoke.process.send_signal(signal.SIGCONT)
        self.assertEqual(code, 2)
        self.assertIn("has not answered within 0.2 s", said)
        spoke.stop()
        self.assertEqual(self.status(spoke)[0], 2)

    def test_stops_and_starts_without_the_process(self):
        self.serve()
        self.ca.exec("crypto pki server ROOTCA stop")
        with self.assertRaises(urllib.error.HTTPError) as refused:
            ca_der(self.port)
        with refused.exception as answer:
            self.assertEqual(answer.code, 503)
        self.assertIn("Status: disabled", self.ca.exec("show crypto pki server"))
        self.ca.exec("crypto pki server ROOTCA start")
        self.assertTrue(ca_der(self.port))

    def test_a_server_taken_out_of_the_file_keeps_its_keys_until_the_question_is_answered(self):
        self.serve()
        before = ca_der(self.port)
        text = self.ca.config.read_text()
        self.assertIn("is configured", self.ca.exec("no crypto pki server ROOTCA", ok=False).stdout)
        self.ca.stop()
        self.ca.config.write_text("hostname lab-ca\nclock calendar-valid\n")
        self.ca.start()
        self.assertIn("certificate server ROOTCA is not configured; its CA keys", self.ca.log())
        self.assertIn("% Nothing was deleted",
                      self.ca.exec("no crypto pki server ROOTCA", text_in="no\n"))
        self.ca.stop()
        self.ca.config.write_text(text)
        self.ca.start()
        self.assertEqual(ca_der(self.port), before, "the same CA, as if nothing had been")
        self.ca.stop()
        self.ca.config.write_text("hostname lab-ca\nclock calendar-valid\n")
        self.ca.start()
        said = self.ca.exec("no crypto pki server ROOTCA", text_in="yes\n")
        self.assertIn("Do you wish to continue? [yes/no]: ", said)
        self.assertIn("is deleted", said)
        self.ca.stop()
        self.ca.config.write_text(text)
        self.ca.start()
        self.assertNotEqual(ca_der(self.port), before)


if __name__ == "__main__":
    unittest.main()
