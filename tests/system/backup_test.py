"""A backup under load and its restore elsewhere, as an operator drills it: no serial number twice,
nobody revoked let in again, and nothing there unless all of it is."""

import contextlib
import os
import pathlib
import re
import sqlite3
import stat
import threading
import unittest

from umbra_lab import Lab, fetch, free_port, run, run_bytes, server_text

BUILD = pathlib.Path(os.environ.get("UMBRA_BUILD", "build/release"))
UMBRA = BUILD / "umbra"


class Holder:
    """Asks a server by hand: quick, and every answer is a certificate of its own."""

    def __init__(self, lab):
        self.lab = lab
        self.key = lab.path("device.key")
        run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
            self.key)
        self.count = 0

    def enroll(self, daemon):
        self.count += 1
        request = run("openssl", "req", "-new", "-key", self.key, "-subj", f"/CN=d{self.count}")
        said = daemon.exec("crypto pki server ROOTCA request pkcs10 terminal pem",
                           text_in=request + "\nquit\n")
        pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", said,
                        re.S).group(0)
        return int(run("openssl", "x509", "-noout", "-serial", text_in=pem).split("=")[1], 16)


class BackupTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()
        self.ca = self.lab.daemon("ca", server_text(self.port))
        self.holder = Holder(self.lab)
        self.secret = self.lab.write("secret", "a passphrase of some length\n")
        self.file = self.lab.path("umbra.backup")

    def backup(self, *more, to=None, ok=True):
        return run(UMBRA, "backup", "--data", self.ca.data, "--config", self.ca.config, "--to",
                   to or self.file, "--passphrase-file", self.secret, *more, ok=ok)

    def restore(self, name, *more, source=None, secret=None, ok=True):
        return run(UMBRA, "restore", "--from", source or self.file, "--data", self.lab.path(name),
                   "--passphrase-file", secret or self.secret, *more, ok=ok)

    def crl(self, port):
        der = fetch(f"http://127.0.0.1:{port}/crl/ROOTCA.crl")
        text = run_bytes("openssl", "crl", "-inform", "der", "-text", "-noout", data=der).decode()
        serials = {int(one, 16) for one in re.findall(r"Serial Number: (\w+)", text)}
        number = int(re.search(r"X509v3 CRL Number:\s+(\w+)", text).group(1), 0)
        return der, serials, number

    def rows(self, name):
        with contextlib.closing(sqlite3.connect(f"file:{self.lab.path(name)}/umbra.db?mode=ro",
                                                uri=True)) as database:
            return {int(serial, 16): certificate for serial, certificate in
                    database.execute("SELECT serial, certificate FROM certificate")}

    def start_restored(self, name):
        """On a port of its own, with what came back."""
        text = self.lab.path(name).joinpath("restored.conf").read_text()
        self.assertEqual(text, self.ca.config.read_text())
        port = free_port()
        daemon = self.lab.daemon(name, text.replace(f"http port {self.port}", f"http port {port}"))
        return daemon, port

    def revoke(self, daemon, serial):
        daemon.exec(f"crypto pki server ROOTCA revoke 0x{serial:x}")

    def test_a_drill(self):
        before = [self.holder.enroll(self.ca) for _ in range(4)]
        self.revoke(self.ca, before[0])
        during, stop = [], threading.Event()

        def load():
            while not stop.is_set():
                during.append(self.holder.enroll(self.ca))

        worker = threading.Thread(target=load)
        worker.start()
        try:
            self.backup()
        finally:
            stop.set()
            worker.join()
        self.assertTrue(during)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertNotIn(b"SQLite format", self.file.read_bytes())
        self.assertEqual([path.name for path in self.ca.data.glob(".backup-*")], [])
        # Life goes on, and the backup does not know.
        after = [self.holder.enroll(self.ca) for _ in range(70)]
        self.revoke(self.ca, before[1])
        self.revoke(self.ca, after[0])
        der, revoked, number = self.crl(self.port)
        self.assertEqual(revoked, {before[0], before[1], after[0]})
        newest = self.lab.path("newest.crl")
        newest.write_bytes(der)
        self.ca.kill()
        known = {1, *before, *during, *after}

        said = self.restore("again", "--crl", newest)
        self.assertRegex(said, r"CRL \d+ of ROOTCA: 2 more revoked, 1 of them unknown until now")
        self.assertTrue(said.endswith("; sound\n"), said)
        # One moment's: what was there before the backup, and nothing that differs from what was issued.
        kept, issued = self.rows("again"), self.rows("ca")
        self.assertLessEqual({1, *before}, set(kept))
        self.assertTrue(set(after).isdisjoint(set(kept) - {after[0]}))
        for serial in set(kept) - {after[0]}:
            self.assertEqual(kept[serial], issued[serial])
        again, port = self.start_restored("again")
        fresh = [self.holder.enroll(again) for _ in range(3)]
        self.assertFalse(known & set(fresh), "a serial number twice")
        _, listed, at = self.crl(port)
        self.assertEqual(listed & {before[0], before[1], after[0]},
                         {before[0], before[1], after[0]}, "let in again")
        self.assertGreater(at, number, "CRL numbers do not go back")
        self.assertEqual(again.stop(), 0)
        self.assertIn("; sound\n", run(UMBRA, "verify", "--data", again.data))

        # A second restore of the same backup, while the first one's certificates are out there.
        said = self.restore("twice")
        self.assertIn("revoke it again", said)
        twice, _ = self.start_restored("twice")
        self.assertFalse((known | set(fresh)) & {self.holder.enroll(twice) for _ in range(3)})

    def test_nothing_is_there_unless_all_of_it_is(self):
        self.holder.enroll(self.ca)
        self.backup()
        self.assertIn("no backup is overwritten", self.backup(ok=False).stderr)
        self.assertEqual(list(self.lab.directory.glob("*.partial*")), [])
        whole = self.file.read_bytes()
        for name, octets in (("cut", whole[:-1]), ("short", whole[:28 + 65552]),
                             ("changed", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]),
                             ("longer", whole + b"x"), ("none", b"")):
            path = self.lab.path(f"{name}.backup")
            path.write_bytes(octets)
            done = self.restore(f"to-{name}", source=path, ok=False)
            self.assertEqual(done.returncode, 1, name)
            self.assertIn(f"{path}: it", done.stderr)
            self.assertEqual(list(self.lab.path(f"to-{name}").glob("*")), [], name)
        other = self.lab.write("other", "another passphrase\n")
        self.assertIn("another passphrase", self.restore("x", secret=other, ok=False).stderr)
        weak = self.lab.write("weak", "short\n")
        self.assertIn("12 characters", self.restore("x", secret=weak, ok=False).stderr)
        done = self.restore("ca", ok=False)
        self.assertIn("is not empty", done.stderr)
        self.assertIn("Certificate Server ROOTCA", self.ca.exec("show crypto pki server"))
        # A restore that was broken off is no empty directory to start a new CA in.
        broken = self.lab.path("broken")
        broken.joinpath(".restoring").mkdir(parents=True)
        done = run(BUILD / "umbrad", "--config", self.ca.config, "--data", broken, ok=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("a restore into it was broken off", done.stderr)
        self.assertFalse(broken.joinpath("umbra.db").exists())
        self.assertIn("broken off", self.restore("broken", ok=False).stderr)


class AuditTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.ca = self.lab.daemon("ca", server_text(free_port()))
        self.file = self.ca.data / "audit.log"

    def verify(self):
        done = run(UMBRA, "audit", "verify", "--data", self.ca.data, ok=False)
        return done.returncode, done.stdout + done.stderr

    def test_who_did_what_is_told_signed_and_survives_a_kill(self):
        holder = Holder(self.lab)
        serial = holder.enroll(self.ca)
        self.ca.exec(f"crypto pki server ROOTCA revoke 0x{serial:x}")
        self.ca.exec("crypto pki export ROOTCA pkcs12 terminal password hush-hush", ok=False)
        run(UMBRA, "--socket", self.ca.data / "umbra.sock", text_in="configure terminal\n"
            "crypto pki server ROOTCA\nshutdown\ndatabase archive pkcs12 password hush-hush\n"
            "no shutdown\nend\n")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        text = self.file.read_text()
        self.assertNotIn("hush-hush", text)
        self.assertRegex(text, r'COMMAND by="console by \w+" line="crypto pki server ROOTCA revoke ')
        self.assertRegex(text, r'COMMAND by="console by \w+" line="crypto pki export ROOTCA pkcs12 '
                               r'terminal password \*"')
        self.assertRegex(text, r'CONFIGURE text="User:console by \w+  logged command:crypto pki '
                               r'server ROOTCA: database archive pkcs12 password \*')
        self.assertRegex(text, rf'REVOKE server="ROOTCA" serial="0x{serial:X}"')
        self.assertEqual(self.verify()[0], 0, self.verify()[1])
        self.ca.kill()
        with open(self.file, "ab") as log:
            log.write(b"99 2026-03-01T00:00")  # as a crash may leave it
        self.assertIn("of a process that died", self.verify()[1])
        self.ca.start()
        self.assertIn('TORN octets="19"', self.file.read_text())
        self.ca.stop()
        status, said = self.verify()
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"1 signatures, the last at \S+ up to line \d+; unbroken")

    def test_what_was_changed_is_found_at_the_next_start_too(self):
        Holder(self.lab).enroll(self.ca)
        self.ca.stop()
        lines = self.file.read_bytes().splitlines(keepends=True)
        issue = next(i for i, line in enumerate(lines) if b" ISSUE " in line and b"cn=d1" in line)
        changed = [*lines]
        changed[issue] = changed[issue].replace(b"cn=d1", b"cn=d2")
        self.file.write_bytes(b"".join(changed))
        status, said = self.verify()
        self.assertEqual(status, 1)
        self.assertIn(f"error: row {issue + 1} [changed]: line {issue + 1}", said)
        self.file.write_bytes(b"".join(lines[:issue]))
        status, said = self.verify()
        self.assertEqual(status, 1)
        self.assertIn(f"[cut-off] it ends with line {issue}", said)
        self.assertIn("no line tells of its issue", said)
        self.ca.start()
        self.assertIn("%UMBRA-1-AUDIT: ", self.ca.log())
        self.ca.stop()
        self.assertIn("[gap]: umbrad found the log cut off", self.verify()[1])

    def test_what_cannot_be_told_is_not_done(self):
        self.ca.stop()
        self.file.unlink()
        self.file.mkdir()
        self.ca.start(wait=False)
        self.assertEqual(self.ca.process.wait(30), 1)
        self.assertIn(f"cannot open {self.file}", self.ca.log())
        self.file.rmdir()
        self.ca.start()
        self.assertIn("GAP why=", self.file.read_text())


if __name__ == "__main__":
    unittest.main()
