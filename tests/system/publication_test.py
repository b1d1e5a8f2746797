"""A certificate server's files on real file servers, which go away while certificates are issued."""

import contextlib
import http.server
import os
import re
import shutil
import signal
import socket
import threading
import unittest

from file_servers import PASSWORD, USER, Nginx, OpenSsh, Tftpd, Vsftpd
from peers import StrongSwan
from umbra_lab import Lab, ca_der, der_to_pem, free_port, run, run_bytes, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
ARCHIVE_PASSWORD = "cisco123"  # what the guide's type 7 password hides
STANDING = {"ROOTCA.crl", "ROOTCA.p12", "ROOTCA.ser"}


def files_of(serials):
    return STANDING | {f"{serial:x}.{kind}" for serial in serials for kind in ("cnm", "crt")}


class PublicationTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()
        self.serials = [1]  # the CA's own
        self.certificates = {}

    def file_server(self, kind):
        server = kind(self.lab)
        self.addCleanup(server.stop)
        return server.start()

    def serve(self, *lines, account=True, prepare=None, **options):
        """A server at level complete that publishes to what these lines name."""
        block = "".join(f" {line}\n" for line in lines)
        if account:
            block += f" database username {USER} password 0 {PASSWORD}\n"
        text = server_text(self.port).replace(" database level complete\n",
                                              " database level complete\n" + block)
        self.ca = self.lab.daemon("ca", text, "--debug", start=False, **options)
        self.ca.data.mkdir(mode=0o700)
        if prepare:
            prepare(self.ca.data)
        self.ca.start()

    def enroll(self, how_many=1):
        for _ in range(how_many):
            peer = StrongSwan(self.lab, self.port, name=f"spoke-{len(self.serials)}")
            issued = peer.enroll()
            serial = int(str(issued.serial), 16)
            self.serials.append(serial)
            self.certificates[serial] = issued

    def screen(self):
        return self.ca.exec("show crypto pki server")

    def waiting(self):
        found = re.search(r"Files waiting for \S+: (\d+) since", self.screen())
        return int(found[1]) if found else 0

    def has_all(self, server, names=None):
        wanted = files_of(self.serials) if names is None else names
        return wanted <= set(server.names())

    def check_files(self, server):
        """Once the daemon has stopped: everything is there, whole, and what was issued."""
        self.assertEqual(set(server.names()), files_of(self.serials), "all files, and no others")
        self.assertEqual(server.read("ROOTCA.ser"),
                         f"db_version = 1\nlast_serial = 0x{max(self.serials):X}".encode())
        ca = self.lab.path("ca-0.pem")
        ca.write_bytes(der_to_pem(server.read("1.crt")))
        run("openssl", "crl", "-inform", "der", "-in", server.folder / "ROOTCA.crl", "-noout",
            "-CAfile", ca)
        inside = run("openssl", "pkcs12", "-in", server.folder / "ROOTCA.p12", "-nodes", "-passin",
                     f"pass:{ARCHIVE_PASSWORD}")
        self.assertEqual(run("openssl", "pkey", "-pubout", text_in=inside),
                         run("openssl", "x509", "-in", ca, "-noout", "-pubkey"))
        for serial in self.serials:
            text = run_bytes("openssl", "x509", "-inform", "der", "-noout", "-serial", "-subject",
                             data=server.read(f"{serial:x}.crt")).decode()
            self.assertIn(f"serial={serial:02X}", text)
            names = server.read(f"{serial:x}.cnm").decode()
            self.assertRegex(names, r"^subjectname_str = cn=.*, expiration = \d\d:\d\d:\d\d UTC ")
        order = [(server.folder / f"{serial:x}.{kind}").stat().st_mtime_ns
                 for serial in self.serials for kind in ("cnm", "crt")]
        self.assertEqual(order, sorted(order), "in the order they were issued in")
        self.assertNotIn(PASSWORD, self.ca.log())
        self.assertNotIn(ARCHIVE_PASSWORD, self.ca.log())

    def outage(self, server, kill=False):
        """Certificates are issued before, during and after; nothing is lost, and the order is kept."""
        self.enroll()
        wait_for("the first files", lambda: self.has_all(server))
        self.assertNotIn("waiting", self.screen())
        server.stop()
        self.enroll()
        waits = wait_for("the backlog on the screen", lambda: re.search(
            r"    Files waiting for (\S+): (\d+) since .*: \S", self.screen()))
        self.assertEqual(waits[1], re.search(r"primary storage dir: (\S+)", self.screen())[1])
        self.enroll()
        wait_for("a longer backlog", lambda: self.waiting() >= 4)
        self.assertIn("%PKI-3-CS_PUBLISH: files of ROOTCA cannot be written to", self.ca.log())
        if kill:
            self.ca.kill()
            self.ca.start()
            wait_for("the backlog after the death", lambda: self.waiting() >= 4)
        self.assertEqual(set(server.names()) & {"3.crt", "3.cnm"}, set())
        server.start()
        wait_for("what was kept", lambda: self.has_all(server), 60)
        wait_for("the log", lambda: "%PKI-5-CS_PUBLISHED: all that ROOTCA had kept" in self.ca.log())
        self.assertNotIn("waiting", self.screen())
        self.enroll()
        wait_for("the last files", lambda: self.has_all(server))
        self.assertEqual(self.ca.stop(), 0)
        self.check_files(server)

    def test_ftp_with_an_outage_and_a_death(self):
        server = self.file_server(Vsftpd)
        self.serve(f"database url {server.url}")
        self.outage(server, kill=True)

    def test_sftp_with_a_password(self):
        server = self.file_server(OpenSsh)
        self.serve(f"database url {server.url}",
                   prepare=lambda data: (data / "known_hosts").write_text(server.known_hosts))
        self.outage(server)

    def test_tftp_with_an_outage(self):
        server = self.file_server(Tftpd)
        self.serve(f"database url {server.url}", account=False)
        self.outage(server)

    def test_http_put_with_an_outage(self):
        server = self.file_server(Nginx)
        self.serve(f"database url {server.url}")
        self.outage(server)

    def test_scp_with_a_key(self):
        server = self.file_server(OpenSsh)

        def prepare(data):
            (data / "known_hosts").write_text(server.known_hosts)
            shutil.copy(server.directory / "client_key", data / "ssh_key")
            shutil.copy(server.directory / "client_key.pub", data / "ssh_key.pub")

        self.serve(f"database url {server.url.replace('sftp:', 'scp:')} username {USER}",
                   account=False, prepare=prepare)
        self.enroll(2)
        wait_for("the files", lambda: self.has_all(server))
        self.ca.stop()
        self.check_files(server)

    def test_a_host_that_is_not_known_gets_nothing(self):
        server = self.file_server(OpenSsh)
        self.serve(f"database url {server.url}")
        wait_for("the refusal", lambda: "the host is not in" in self.ca.log())
        self.assertIn("known_hosts; add its line there", self.screen())
        _, kind, key = server.known_hosts.split()
        other = key[:-8] + ("A" * 8 if not key.endswith("A" * 8) else "B" * 8)
        (self.ca.data / "known_hosts").write_text(
            server.known_hosts.replace(f"{kind} {key}", f"{kind} {other}"))
        self.ca.stop()
        self.ca.start()
        wait_for("the refusal of another key", lambda: "the host's key is not the one in"
                 in self.ca.log(), 60)
        self.assertEqual(server.names(), [])
        self.assertNotIn("Accepted password", (server.directory / "log").read_text())

    def test_https_is_verified(self):
        server = self.file_server(Nginx)
        self.serve(f"database url {server.tls_url}")
        wait_for("the refusal", lambda: re.search("CS_PUBLISH: .*certificate", self.ca.log()))
        self.assertEqual(server.names(), [])
        shutil.copy(server.directory / "tls.pem", self.ca.data / "tls-ca.pem")
        self.ca.stop()
        self.ca.start()
        wait_for("the files", lambda: self.has_all(server))

    def test_a_redirection_is_no_arrival(self):
        server = self.file_server(Nginx)
        self.serve(f"database url http://127.0.0.1:{server.port}/moved")
        wait_for("the refusal", lambda: "the server answered 302" in self.ca.log())
        self.assertGreaterEqual(self.waiting(), 3)
        self.assertEqual(server.names(), [])

    def test_an_answer_that_does_not_end_is_no_arrival(self):
        class Endless(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_PUT(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):  # it has had enough
                    while True:
                        self.wfile.write(b"x" * 65536)

        server = self.enterContext(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.serve(f"database url http://127.0.0.1:{server.server_port}/db", account=False)
        wait_for("the fault", lambda: "what the server answers does not end" in self.screen())
        self.assertGreaterEqual(self.waiting(), 3)

    def test_a_fault_that_lasts_is_the_same_fault_each_time(self):
        port = free_port()
        self.serve(f"database url ftp://127.0.0.1:{port}/db", account=False)
        # Without the milliseconds it took this time, which would have it logged again.
        wait_for("the fault", lambda: f"port {port}: Couldn't connect to server" in self.screen())

    def test_a_place_that_hangs_does_not_hold_up_a_change_of_the_place(self):
        folder = self.lab.path("instead")
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as silence:
            url = f"http://127.0.0.1:{silence.getsockname()[1]}/db"
            self.serve(f"database url {url}", account=False)
            silence.settimeout(30)
            with silence.accept()[0]:
                self.ca.config.write_text(self.ca.config.read_text().replace(url, f"unix:{folder}"))
                self.ca.process.send_signal(signal.SIGHUP)
                wait_for("the change", lambda: "%SYS-5-CONFIG_I" in self.ca.log(), 15)
                wait_for("the files", lambda: {path.name for path in folder.iterdir()}
                         >= files_of(self.serials))
        self.assertNotIn("CS_PUBLISH", self.ca.log())

    def test_a_wrong_password_is_said_and_not_shown(self):
        server = self.file_server(Vsftpd)
        self.serve(f"database url {server.url} username {USER} password 0 battery-staple",
                   account=False)
        wait_for("the refusal", lambda: "CS_PUBLISH" in self.ca.log())
        self.assertIn("Files waiting for", self.screen())
        for said in (self.ca.log(), self.screen()):
            self.assertNotIn("battery-staple", said)

    def test_types_go_to_places_of_their_own_and_readers_get_copies(self):
        server = self.file_server(Nginx)
        own, readers = self.lab.path("own"), self.lab.path("readers")
        own.mkdir()
        readers.mkdir()
        self.serve(f"database url {server.url}", f"database url ser unix:{own}",
                   f"database url crl publish unix:{readers}", "database url p12 flash:/archive")
        self.enroll()
        wait_for("the certificates", lambda: self.has_all(
            server, files_of(self.serials) - {"ROOTCA.ser", "ROOTCA.p12"}))
        wait_for("the copy", (readers / "ROOTCA.crl").exists)
        wait_for("the archive", (self.ca.data / "flash" / "archive" / "ROOTCA.p12").exists)
        wait_for("the serial number", (own / "ROOTCA.ser").exists)
        self.assertEqual((readers / "ROOTCA.crl").read_bytes(), server.read("ROOTCA.crl"))
        self.assertEqual((readers / "ROOTCA.crl").stat().st_mode & 0o777, 0o644)
        self.assertIn(f"Current storage dir for .ser files: unix:{own}", self.screen())
        # One of them fails, the others go on.
        server.stop()
        self.enroll()
        self.ca.exec("crypto pki server ROOTCA revoke 0x2")
        wait_for("the new CRL", lambda: "Serial Number: 02" in run(
            "openssl", "crl", "-inform", "der", "-in", readers / "ROOTCA.crl", "-noout", "-text"))

    def test_a_full_disk_is_told_before_and_loses_nothing(self):
        folder = self.lab.path("small")
        folder.mkdir()
        mount = f"mount -t tmpfs -o size=128k,nr_inodes=100 tmpfs {folder} && exec \"$@\""
        self.serve(f"database url unix:{folder}", account=False,
                   prefix=("unshare", "--mount", "sh", "-c", mount, "sh"))
        seen = self.lab.path(f"/proc/{self.ca.process.pid}/root{folder}")
        wait_for("the warning", lambda: "%PKI-2-CS_ROOM: unix:" in self.ca.log())
        self.assertIn("Storage is nearly full: ", self.screen())
        self.enroll()
        wait_for("the first files", lambda: (seen / "2.crt").exists())
        with open(seen / "ballast", "wb", buffering=0) as ballast, \
                self.assertRaisesRegex(OSError, "No space"):
            while True:
                ballast.write(b"x" * 4096)
        self.enroll(2)
        wait_for("the fault", lambda: "No space left on device" in self.screen())
        self.assertIn("Status: enabled", self.screen(), "issuing goes on")
        (seen / "ballast").unlink()
        wait_for("what was kept", lambda: (seen / "4.crt").exists(), 60)
        self.assertNotIn("No space left", self.screen())
        self.assertEqual(len((seen / "4.crt").read_bytes()), len((seen / "2.crt").read_bytes()))
        self.assertEqual([path.name for path in seen.glob("*.new")], [])

    def test_a_strict_database_stops_the_server_with_its_place(self):
        server = self.file_server(Vsftpd)
        self.serve(f"database url {server.url}", "database strict")
        self.enroll()
        wait_for("the first files", lambda: self.has_all(server))
        self.assertEqual(server.read("ROOTCA.ser"), b"db_version = 1\nlast_serial = 0x2")
        server.stop()
        refused = StrongSwan(self.lab, self.port, name="refused").enroll(ok=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("Status: disabled, storage is inaccessible", self.screen())
        self.assertIn("is inaccessible, server disabled.", self.ca.log())
        server.start()
        wait_for("the server again", lambda: "Status: enabled" in self.screen(), 60)
        self.enroll()
        wait_for("all files", lambda: self.has_all(server))
        self.assertNotIn("3.crt", server.names(), "what was refused was never issued")


if __name__ == "__main__":
    unittest.main()
