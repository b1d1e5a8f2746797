"""umbrad and umbra as an operator meets them: start, stop, faults in the file, a second start."""

import os
import signal
import socket
import stat
import unittest

from umbra_lab import Lab, LabError, free_port, run, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class DaemonTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))

    def check(self, text):
        """umbrad --check on this configuration: (status, everything it printed)."""
        path = self.lab.write("check.conf", text)
        done = run(self.lab.build / "umbrad", "--config", path, "--check", ok=False)
        return done.returncode, done.stdout + done.stderr

    def test_places_that_are_umbrads_own_are_named_before_anything_is_written(self):
        data, path = self.lab.path("own"), self.lab.path("agent.conf")
        path.write_text(f"hostname agent\ncrypto pki trustpoint web\n storage pem {data}/web\n"
                        f"crypto pki trustpoint mail\n storage pkcs12 {path} password 0 sealed\n")
        for more in (("--check",), ()):
            done = run(self.lab.build / "umbrad", "--config", path, "--data", data, *more, ok=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"{path}:3:", done.stderr)
            self.assertIn(f"in umbrad's data directory {data}", done.stderr)
            self.assertIn(f"{path}:5:", done.stderr)
            self.assertIn("is the configuration file", done.stderr)
            self.assertNotIn("sealed", done.stderr)
        self.assertFalse(data.exists())

    def test_what_became_of_one_place_keeps_nobody_from_starting(self):
        place = self.lab.path("web.p12")
        place.mkdir()
        text = server_text(free_port()) + \
            f"crypto pki trustpoint web\n storage pkcs12 {place} password 0 sealed\n"
        status, said = self.check(text)
        self.assertEqual(status, 2, said)
        daemon = self.lab.daemon("ca", text)
        self.assertIn("Certificate Server ROOTCA:", daemon.exec("show crypto pki server"))
        self.assertIn(f"{place} is a directory", daemon.log())
        self.assertNotIn("sealed", daemon.log())
        self.assertEqual(daemon.stop(), 0)

    def test_starts_answers_and_stops_with_status_0_on_sigterm(self):
        port = free_port()
        daemon = self.lab.daemon("ca", server_text(port))
        self.assertIn("Certificate Server ROOTCA:", daemon.exec("show crypto pki server"))
        with open(f"/proc/{daemon.process.pid}/limits", encoding="ascii") as limits:
            self.assertRegex(limits.read(), r"Max core file size +0 +0 ")
        self.assertEqual(daemon.stop(), 0)
        self.assertIn("%UMBRA-5-STOPPING", daemon.log())

    def test_refuses_to_start_twice_on_one_data_directory(self):
        daemon = self.lab.daemon("ca", server_text(free_port()))
        second = run(self.lab.build / "umbrad", "--config", daemon.config, "--data", daemon.data,
                     ok=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"process {daemon.process.pid}", second.stderr)
        self.assertIn("ROOTCA", daemon.exec("show crypto pki server"), "the first one goes on")

    def test_a_killed_daemon_starts_again_where_it_was(self):
        daemon = self.lab.daemon("ca", server_text(free_port()))
        before = daemon.exec("show crypto pki certificates")
        daemon.kill()
        daemon.start()
        self.assertEqual(daemon.exec("show crypto pki certificates"), before)

    def test_a_lost_passphrase_is_not_replaced(self):
        daemon = self.lab.daemon("ca", server_text(free_port()))
        daemon.stop()
        kept = (daemon.data / "passphrase").rename(self.lab.path("elsewhere"))
        done = run(self.lab.build / "umbrad", "--config", daemon.config, "--data", daemon.data,
                   ok=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{daemon.data}/passphrase is missing", done.stderr)
        self.assertFalse((daemon.data / "passphrase").exists())
        kept.rename(daemon.data / "passphrase")
        daemon.start()
        self.assertIn("enabled", daemon.exec("show crypto pki server"))

    def test_says_to_systemd_when_it_is_ready_and_when_it_stops(self):
        path = self.lab.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(path))
            listener.settimeout(30)
            daemon = self.lab.daemon("ca", server_text(free_port()),
                                     environment={"NOTIFY_SOCKET": str(path)})
            self.assertIn(b"READY=1", listener.recv(4096))
            daemon.stop()
            self.assertIn(b"STOPPING=1", listener.recv(4096))

    def test_nothing_secret_is_readable_by_others_or_in_the_log(self):
        daemon = self.lab.daemon("ca", server_text(free_port(), lines=[
            "challenge password open sesame", "archive pkcs12 password tell nobody"][:1]), "--debug")
        for folder, _, names in os.walk(daemon.data):
            for name in [*names, "."]:
                path = os.path.join(folder, name)
                mode = stat.S_IMODE(os.lstat(path).st_mode)
                # Who may use the console is decided by what the kernel says of him (console_test).
                if not stat.S_ISSOCK(os.lstat(path).st_mode):
                    self.assertEqual(mode & 0o077, 0, path)
        self.assertNotIn("sesame", daemon.log())
        database = b"".join(path.read_bytes() for path in daemon.data.glob("umbra.db*"))
        self.assertNotIn(b"PRIVATE KEY", database.replace(b"ENCRYPTED PRIVATE KEY", b""))

    def test_all_faults_of_a_file_are_reported_at_once_with_place_and_help(self):
        status, said = self.check(
            "crypto pki server ROOTCA\n lifetme certificate 365\n grant sometimes\n"
            "crypto pki trustpoint T\n rs\u0430keypair spoke-1-RSA\n enrollment retry count many\n")
        self.assertEqual(status, 2)
        for place in ("check.conf:2:2", "check.conf:3:8", "check.conf:5:", "check.conf:6:25"):
            self.assertIn(place, said)
        self.assertIn("lifetime", said, "did you mean")
        self.assertIn("U+0430", said)
        self.assertIn("rsakeypair", said)
        self.assertIn("4 fault(s)", said)

    def test_a_missing_configuration_file_is_named(self):
        done = run(self.lab.build / "umbrad", "--config", "/nonexistent/umbra.conf", "--data",
                   self.lab.path("d"), ok=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nonexistent/umbra.conf", done.stderr)
        self.assertFalse(self.lab.path("d").exists())

    def test_a_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with self.assertRaisesRegex(LabError, f"(?s)127.0.0.1.*{port}"):
                self.lab.daemon("ca", server_text(port))

    def test_exec_tells_by_its_status_what_became_of_the_command(self):
        daemon = self.lab.daemon("ca", server_text(free_port()))
        self.assertEqual(daemon.exec("show clock", ok=False).returncode, 0)
        wrong = daemon.exec("show nonsense", ok=False)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("% Invalid input detected at '^' marker.", wrong.stdout + wrong.stderr)
        nobody = run(self.lab.build / "umbra", "exec", "show clock", "--socket",
                     self.lab.path("nothing.sock"), ok=False)
        self.assertEqual(nobody.returncode, 3)
        self.assertIn("nothing.sock", nobody.stderr)

    def test_without_an_authoritative_clock_no_timer_is_armed_and_it_says_so(self):
        text = server_text(free_port()).replace("clock calendar-valid\n", "")
        kernel = run("python3", "-c", (
            "import ctypes; b = ctypes.create_string_buffer(512); "
            "r = ctypes.CDLL(None).adjtimex(b); print(r)")).strip()
        daemon = self.lab.daemon("ca", text)
        if kernel == "5":  # TIME_ERROR: the kernel's clock is not synchronised
            self.assertIn("NON_AUTHORITATIVE_CLOCK", daemon.log())
            self.assertNotIn("CS CERT EXPIRE", daemon.exec("show crypto pki timers"))
        else:
            self.assertIn("CS CERT EXPIRE", daemon.exec("show crypto pki timers"))

    def test_what_is_weak_is_said_at_each_start(self):
        port = free_port()
        daemon = self.lab.daemon("ca", server_text(port, lines=["allow legacy des"]) +
                                 "crypto pki trustpoint T\n enrollment url http://127.0.0.1:9\n"
                                 " fingerprint 00112233445566778899AABBCCDDEEFF\n")
        self.assertIn("%UMBRA-4-WEAK: certificate server ROOTCA allows single DES", daemon.log())
        self.assertIn("%UMBRA-4-WEAK: trustpoint T pins its CA by an MD5 fingerprint", daemon.log())

    def test_sigint_stops_it_too(self):
        daemon = self.lab.daemon("ca", server_text(free_port()))
        daemon.process.send_signal(signal.SIGINT)
        self.assertEqual(daemon.process.wait(30), 0)

    def test_what_is_not_acted_on_is_named_once(self):
        daemon = self.lab.daemon("ca", server_text(free_port(), lines=["redundancy"]))
        self.assertEqual(daemon.log().count('"redundancy"'), 1)
        self.assertIn("redundancy", daemon.exec("show running-config"))
        wait_for("the log", lambda: "NOT_EFFECTIVE" in daemon.log())


if __name__ == "__main__":
    unittest.main()
