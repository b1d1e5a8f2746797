"""A running umbrad whose configuration changes, by its file and SIGHUP, while clients enrol."""

import os
import re
import signal
import unittest

from umbra_lab import Lab, ca_der, fingerprint, free_port, run, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class LiveTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()

    def serve(self, *lines, more=""):
        self.ca = self.lab.daemon("ca", server_text(self.port, lines=lines) + more)
        self.addCleanup(lambda: self.assertEqual(self.ca.stop(), 0, self.ca.log()[-5000:]))

    def reload(self, text):
        """The file says this now; what the log said of it."""
        at = len(self.ca.log().encode())
        self.ca.config.write_text(text)
        self.ca.process.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: re.search(r"CONFIG_I|nothing was changed", self.ca.log(at)))
        return self.ca.log(at)

    def spoke(self, name, pin, percent=80):
        return (f"crypto pki trustpoint {name}\n enrollment url http://127.0.0.1:{self.port}\n"
                f" fingerprint {pin}\n rsakeypair {name}-KEY\n auto-enroll {percent}\n")

    def serial(self, name):
        """Of the identity of this trustpoint; nothing while it has none."""
        shown = self.ca.exec(f"show crypto pki certificates {name}", ok=False).stdout
        found = re.search(r"^Certificate\n.*?\(hex\): (\w+)", shown, re.DOTALL | re.MULTILINE)
        return found and found.group(1)

    def test_trustpoints_come_change_and_go_while_others_enrol(self):
        self.serve()
        pin = fingerprint(ca_der(self.port))
        base = server_text(self.port)
        names = [f"SPOKE-{i}" for i in range(4)]
        text = base
        for name in names:  # each comes while the one before is about to make its key or to ask
            text += self.spoke(name, pin)
            self.assertIn(f"trustpoint {name} is new", self.reload(text))
        for name in names:
            wait_for(f"{name} to enrol", lambda name=name: self.serial(name), 60)
        before = {name: self.serial(name) for name in names}
        self.assertEqual(sorted(before.values()), ["02", "03", "04", "05"],
                         "nobody was granted twice")
        said = self.reload(text.replace("auto-enroll 80", "auto-enroll 70"))
        self.assertEqual(said.count("is changed"), 4)
        self.assertEqual({name: self.serial(name) for name in names}, before)

        said = self.reload(base + "".join(self.spoke(name, pin) for name in names[1:]))
        self.assertIn("trustpoint SPOKE-0 is gone; what is kept of it is kept", said)
        self.assertIn("no trustpoint SPOKE-0", self.ca.exec("show crypto pki certificates SPOKE-0",
                                                            ok=False).stdout)
        self.reload(text)
        self.assertEqual(self.serial("SPOKE-0"), before["SPOKE-0"])

    def test_a_fingerprint_of_another_ca_stops_its_trustpoint_until_it_is_corrected(self):
        self.serve()
        pin = fingerprint(ca_der(self.port))
        right = server_text(self.port) + self.spoke("SPOKE", pin)
        self.reload(right)
        wait_for("SPOKE to enrol", lambda: self.serial("SPOKE"), 60)

        def status():
            done = run(self.lab.build / "umbra", "status", "--trustpoint", "SPOKE", "--socket",
                       self.ca.data / "umbra.sock", ok=False)
            return done.returncode, done.stdout
        self.assertEqual(status()[0], 0)
        said = self.reload(right.replace(pin, "A" * 64))
        wait_for("the warning", lambda: "%PKI-4-FINGERPRINT: The fingerprint configured for "
                 f"trustpoint SPOKE is another CA's than the one it has (SHA-256 {pin.upper()}"
                 in self.ca.log())
        wait_for("the status", lambda: status()[0] == 2)
        self.assertIn("the configured fingerprint is another CA's", status()[1])
        self.assertIn("Issuing CA authenticated ....... No (another CA's",
                      self.ca.exec("show crypto pki trustpoints status"))
        refused = self.ca.exec("crypto pki enroll SPOKE", ok=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("crypto pki authenticate SPOKE", refused.stdout)
        self.assertEqual(self.serial("SPOKE"), "02", said)
        self.reload(right)
        wait_for("it to go on", lambda: status()[0] == 0)
        self.ca.exec("crypto pki enroll SPOKE")
        wait_for("a renewal", lambda: self.serial("SPOKE") == "03")

    def test_a_file_with_faults_changes_nothing(self):
        self.serve()
        before = self.ca.exec("show running-config")
        said = self.reload(server_text(self.port, lines=["lifetme certificate 3"]))
        self.assertIn('unknown command "lifetme"', said)
        self.assertIn("1 fault(s)", said)
        self.assertIn("nothing was changed", said)
        self.assertEqual(self.ca.exec("show running-config"), before)
        refused = self.ca.exec("configure replace startup-config", ok=False)
        self.assertEqual(refused.returncode, 1)
        said = self.reload(server_text(self.port, lines=["issuer-name CN=Other"]))
        self.assertIn("cannot be changed after CA certificate generation", said)
        self.assertIn("status: enabled", self.ca.exec("show crypto pki server").lower())

    def test_a_changed_server_goes_on_with_its_keys_and_numbers(self):
        self.serve()
        first = ca_der(self.port)
        said = self.reload(server_text(self.port, lines=["lifetime crl 3", "grant none"]))
        self.assertIn("certificate server ROOTCA is changed", said)
        self.assertIn("Granting mode is: none", self.ca.exec("show crypto pki server ROOTCA"))
        self.assertEqual(ca_der(self.port), first)
        other = free_port()
        self.assertIn(f"HTTP on 127.0.0.1 port {other}", self.reload(server_text(other)))
        self.assertEqual(ca_der(other), first)
        self.assertIn("is gone", self.reload(f"hostname lab-ca\nip http server\n"))
        self.assertIn("status: enabled", (self.reload(server_text(self.port)), self.ca.exec(
            "show crypto pki server ROOTCA"))[1].lower())
        self.assertEqual(ca_der(self.port), first, "what is kept of a server is there again")

    def test_the_file_is_written_as_it_runs(self):
        self.serve()
        typed = self.ca.config.read_text()
        self.assertEqual(self.ca.exec("show archive config differences"),
                         "!Contextual Config Diffs:\n!No changes were found\n")
        self.assertIn("password 7 *", self.ca.exec("show startup-config"))
        self.assertEqual(self.ca.exec("write memory"), "Building configuration...\n[OK]\n")
        self.assertEqual(self.lab.path("ca.conf~").read_text(), typed)
        running = self.ca.config.read_text()
        self.assertTrue(running.endswith("end\n"))
        self.assertEqual(self.ca.stop(), 0)
        self.ca.start()
        self.assertEqual(self.ca.exec("copy running-config startup-config"),
                         "Building configuration...\n[OK]\n")
        self.assertEqual(self.ca.config.read_text(), running)

    def test_debugging_is_switched_and_tells_no_secret(self):
        self.serve("challenge password open sesame now")
        self.assertIn("%PKI-6-CS_ENABLED", self.ca.exec("show logging"))
        self.assertEqual(self.ca.exec("show debugging"), "")
        said = self.ca.exec("debug crypto pki all")
        self.assertEqual(said.count("debugging is on"), 4)
        self.assertIn("Server debugging is on", self.ca.exec("show debugging"))
        pin = fingerprint(ca_der(self.port))
        self.reload(self.ca.config.read_text() + self.spoke("SPOKE", pin) +
                    " password open sesame now\n")
        wait_for("SPOKE to enrol", lambda: self.serial("SPOKE"), 60)
        log = self.ca.exec("show logging")
        for line in ("CRYPTO_PKI_SCEP: Client sending PKCSReq", "CRYPTO_CS: scep msg type - 19",
                     "CRYPTO_CS: writing serial number 0x2.", "CRYPTO_PKI: Sending HTTP message",
                     "CRYPTO_PKI: status = 100: certificate is granted"):
            self.assertIn(line, log)
        for text in (log, self.ca.log()):
            for secret in ("sesame", "PRIVATE", "cisco123"):
                self.assertNotIn(secret, text)
        self.assertEqual(self.ca.exec("undebug all"),
                         "All possible debugging has been turned off\n")
        before = self.ca.log().count("CRYPTO_")
        ca_der(self.port)
        self.assertEqual(self.ca.log().count("CRYPTO_"), before)

    def test_what_happens_is_counted(self):
        self.serve()
        self.reload(self.ca.config.read_text() + self.spoke("SPOKE", fingerprint(ca_der(self.port))))
        wait_for("SPOKE to enrol", lambda: self.serial("SPOKE"), 60)
        shown = self.ca.exec("show crypto pki counters")
        for line in ("PKI Sessions Started: 2", "PKI Sessions Active: 0",
                     "Successful Validations: 2", "Failed Validations: 0"):
            self.assertIn(line, shown, "as a client and as a server")
        self.assertRegex(self.ca.exec("show crypto pki server ROOTCA certificates"),
                         r"\n1 .* cn=RootCA,ou=TAC,o=Cisco\n2 .*hostname=lab-ca\n$")
        self.assertIn("Key name: ROOTCA\n", self.ca.exec("show crypto key mypubkey rsa"))
        self.assertIn("cn=RootCA ou=TAC o=Cisco", self.ca.exec("show crypto pki crls"))
        self.assertIn("lab-ca uptime is", self.ca.exec("show version"))
        self.assertIn("The time is authoritative: ", self.ca.exec("show clock detail"))


if __name__ == "__main__":
    unittest.main()
