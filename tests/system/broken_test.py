"""What umbrad says, and does, when what it stands on is broken: a full disk, one that cannot be
written to, a damaged or locked database, a passphrase or a configuration that is not the right one.
It says what is wrong, changes nothing, and goes on where it was once that is mended."""

import contextlib
import os
import pathlib
import subprocess
import threading
import unittest

from crash_site import TABLES, Books
from umbra_lab import Lab, free_port, run, server_text

BUILD = pathlib.Path(os.environ.get("UMBRA_BUILD", "build/release"))
PAGE = 4096


class BrokenTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.key = self.lab.path("device.key")
        run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
            self.key)
        self.count = 0

    def server(self, name="ca"):
        return self.lab.daemon(name, server_text(free_port()))

    def enroll(self, daemon):
        """By hand; what the console says."""
        self.count += 1
        request = run("openssl", "req", "-new", "-key", self.key, "-subj", f"/CN=d{self.count}")
        return daemon.exec("crypto pki server ROOTCA request pkcs10 terminal pem", ok=False,
                           text_in=request + "\nquit\n").stdout

    def assert_enrolls(self, daemon):
        self.assertIn("BEGIN CERTIFICATE", self.enroll(daemon))

    def refused(self, daemon, said, status=1):
        """It does not start, says why, and leaves the database as it was."""
        before = self.content(daemon)
        at = len(daemon.log())
        daemon.start(wait=False)
        self.assertEqual(daemon.process.wait(100), status, daemon.log(at))
        self.assertIn(said, daemon.log(at))
        self.assertEqual(self.content(daemon), before)

    def content(self, daemon):
        """All rows, but for how far the audit log is known to reach."""
        books = Books(daemon.data, self.lab.path("books"))
        return {table: getattr(books, table) for table in TABLES}

    def verified(self, daemon):
        done = run(BUILD / "umbra", "verify", "--data", daemon.data, ok=False)
        return done.returncode, done.stdout + done.stderr

    def goes_on(self, daemon, authority):
        daemon.start()
        self.assertEqual(daemon.exec("show crypto pki certificates"), authority)
        self.assert_enrolls(daemon)
        self.assertEqual(daemon.stop(), 0)
        status, said = self.verified(daemon)
        self.assertEqual(status, 0, said)

    @contextlib.contextmanager
    def disk(self, name, size):
        """A disk of its own for the daemon of that name."""
        place = self.lab.path(name)
        place.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "umbra-test", place)
        try:
            yield place
        finally:
            run("umount", place)

    def test_a_full_disk(self):
        with self.disk("ca", "4m") as place:
            daemon = self.server()
            self.assert_enrolls(daemon)
            authority = daemon.exec("show crypto pki certificates")
            self.fill(place)
            failed = 0
            for _ in range(20):  # what was set aside before may do for some
                failed += "BEGIN CERTIFICATE" not in self.enroll(daemon)
            self.assertGreater(failed, 0)
            self.assertRegex(daemon.log(), "(?i)full|No space left")
            self.assertEqual(daemon.exec("show crypto pki certificates"), authority, "it lives")
            (place / "filling").unlink()
            self.assert_enrolls(daemon)
            daemon.kill()
            status, said = self.verified(daemon)
            self.assertEqual(status, 0, said)
            self.fill(place)
            daemon.start(wait=False)
            ended = self.ends(daemon)
            self.assertIn(ended, (None, 1), daemon.log())
            if ended is None:
                self.assertIn(daemon.stop(), (0, 1))
            (place / "filling").unlink()
            self.goes_on(daemon, authority)

    @staticmethod
    def fill(place):
        with contextlib.suppress(OSError), open(place / "filling", "wb", buffering=0) as file:
            while True:
                file.write(bytes(PAGE))

    @staticmethod
    def ends(daemon):
        try:
            return daemon.process.wait(5)
        except subprocess.TimeoutExpired:
            return None

    def test_a_disk_that_cannot_be_written_to(self):
        with self.disk("ca", "16m") as place:
            daemon = self.server()
            self.assert_enrolls(daemon)
            authority = daemon.exec("show crypto pki certificates")
            daemon.stop()
            run("mount", "-o", "remount,ro", place)
            self.refused(daemon, "Read-only file system")
            status, said = self.verified(daemon)
            self.assertEqual(status, 0, said)
            run("mount", "-o", "remount,rw", place)
            self.goes_on(daemon, authority)

    def test_any_page_of_the_database(self):
        daemon = self.server()
        for _ in range(5):
            self.assert_enrolls(daemon)
        authority = daemon.exec("show crypto pki certificates")
        daemon.stop()
        path = daemon.data / "umbra.db"
        whole = path.read_bytes()
        refused = 0
        for at in range(0, len(whole), PAGE):
            with self.subTest(page=at // PAGE + 1):
                path.write_bytes(whole[:at] + b"\xa5" * PAGE + whole[at + PAGE:])
                status, said = self.verified(daemon)
                self.assertIn(status, (1, 2), said)
                if at // PAGE % 8 == 0:
                    daemon.start(wait=False)
                    if self.ends(daemon) == 1:
                        refused += 1
                        self.assertRegex(daemon.log(), "malformed|not a database")
                    else:
                        daemon.stop()
        self.assertGreater(refused, 0, "the first page is one of them")
        path.write_bytes(whole)
        for rest in daemon.data.glob("umbra.db-*"):
            rest.unlink()
        self.goes_on(daemon, authority)

    def test_a_database_that_somebody_else_holds(self):
        daemon = self.server()
        authority = daemon.exec("show crypto pki certificates")
        with self.held(daemon, "BEGIN IMMEDIATE") as let_go:
            answers = []
            waits = threading.Thread(target=lambda: answers.append(self.enroll(daemon)))
            waits.start()
            waits.join(1)
            self.assertTrue(waits.is_alive(), "nothing is answered before it is kept")
            let_go()
            waits.join(60)
            self.assertIn("BEGIN CERTIFICATE", answers[0])
        daemon.stop()
        with self.held(daemon, "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE"):
            self.refused(daemon, "database is locked")
        self.goes_on(daemon, authority)

    @contextlib.contextmanager
    def held(self, daemon, statements):
        """By another process: what this one opens and closes would end its own locks."""
        process = self.lab.spawn("sqlite3", daemon.data / "umbra.db", stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        # The server may be writing something itself just then.
        process.stdin.write(f".timeout 30000\n{statements};\nSELECT 'held';\n")
        process.stdin.flush()
        while process.stdout.readline() != "held\n":
            self.assertIsNone(process.poll())

        def let_go():
            if process.poll() is None:
                process.communicate("ROLLBACK;\n", timeout=30)

        try:
            yield let_go
        finally:
            let_go()

    def test_a_passphrase_that_is_another(self):
        daemon = self.server()
        authority = daemon.exec("show crypto pki certificates")
        daemon.stop()
        path = daemon.data / "passphrase"
        right = path.read_text()
        path.write_text("another\n")
        self.refused(daemon, "a stored key does not open with this passphrase")
        path.write_text("")
        self.refused(daemon, f"{path} is empty")
        path.unlink()
        self.refused(daemon, f"{path} is missing")
        path.write_text(right)
        self.goes_on(daemon, authority)

    def test_a_configuration_that_cannot_be_read(self):
        daemon = self.server()
        authority = daemon.exec("show crypto pki certificates")
        daemon.stop()
        text = daemon.config.read_text()
        daemon.config.unlink()
        self.refused(daemon, f"cannot open {daemon.config}", 2)
        daemon.config.mkdir()
        self.refused(daemon, f"cannot read {daemon.config}", 2)
        daemon.config.rmdir()
        daemon.config.write_bytes(os.urandom(4096))
        self.refused(daemon, "fault(s) in", 2)
        daemon.config.write_text(text)
        self.goes_on(daemon, authority)


if __name__ == "__main__":
    unittest.main()
