"""`umbra import ios`: what a server published is read back, and goes on; archives as old IOS sealed
them; what is missing is said, and nothing is changed."""

import os
import re
import shutil
import time
import unittest

from peers import StrongSwan, chains
from umbra_lab import Lab, ca_der, fetch, free_port, run, run_bytes, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
PASSPHRASE = "cisco123"  # what the guide's type 7 password hides


class ImportTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()
        self.files = self.lab.path("files")
        self.files.mkdir()
        self.secret = self.lab.write("secret", PASSPHRASE + "\n")

    def text(self, *lines):
        """The guide's server, which publishes to the directory of the test, with other lines."""
        archive = [line for line in lines if line.startswith("database archive")]
        block = "".join(f" {line}\n" for line in lines if line not in archive)
        return server_text(self.port, lines=[line[len("database "):] for line in archive]).replace(
            " database level complete\n", f" database url unix:{self.files}\n{block}").replace(
            "\n archive ", "\n database archive ")

    def umbra_import(self, *options, ok=True, data="imported", passphrase=True):
        secret = ["--passphrase-file", self.secret] if passphrase else []
        done = run(self.lab.build / "umbra", "import", "ios", self.files, *secret, "--data",
                   self.lab.path(data), *options, ok=False)
        if ok:
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("nothing was imported", done.stderr)
        return done.stderr

    def crl(self):
        return run_bytes("openssl", "crl", "-inform", "der", "-noout", "-text",
                         data=fetch(f"http://127.0.0.1:{self.port}/crl/ROOTCA.crl")).decode()

    def revoked(self):
        return re.findall(r"Serial Number: ([0-9A-F]+)\n\s+Revocation Date: (.*)", self.crl())

    def round_trip(self, *lines, level):
        """A server publishes and ends; another goes on from its files."""
        old = self.lab.daemon("old", self.text(*lines, f"database level {level}"))
        peers = [StrongSwan(self.lab, self.port, name=f"spoke-{number}") for number in range(3)]
        first = [peer.enroll() for peer in peers]
        self.assertEqual([int(one.serial, 16) for one in first], [2, 3, 4])
        old.exec("crypto pki server ROOTCA revoke 0x3 superseded")
        ca, revoked = ca_der(self.port), self.revoked()
        self.assertEqual([serial for serial, _ in revoked], ["03"])
        self.assertEqual(old.stop(), 0)

        said = self.umbra_import()
        self.assertIn("ROOTCA.ser: last serial number 0x4", said)
        self.assertIn("1 revoked certificate\n", said)
        new = self.lab.daemon("new", self.text(*lines, f"database level {level}"), start=False)
        new.data = self.lab.path("imported")
        new.start()
        self.assertEqual(ca_der(self.port), ca, "the same CA")
        self.assertEqual(self.revoked(), revoked, "the same revocations")
        renewed = peers[0].renew()
        self.assertEqual(int(renewed.serial, 16), 5, "the next serial number")
        self.assertTrue(chains(self.lab, self.port, renewed))
        self.assertNotEqual(peers[1].renew(ok=False).returncode, 0, "the revoked one does not")
        new.exec("crypto pki server ROOTCA revoke 0x4")
        self.assertEqual([serial for serial, _ in self.revoked()], ["03", "04"])
        self.assertEqual(new.stop(), 0)
        self.assertEqual((self.files / "ROOTCA.ser").read_text(),
                         "db_version = 1\nlast_serial = 0x5")
        return said

    def test_round_trip_of_all_with_pkcs12(self):
        said = self.round_trip(level="complete")
        self.assertIn("4 certificate files", said)
        self.assertNotIn("WARNING", said)
        for line in ("crypto pki server ROOTCA", " database level complete",
                     " issuer-name cn=RootCA,ou=TAC,o=Cisco", " lifetime crl 6",
                     " lifetime certificate 365", " lifetime ca-certificate 730", " no shutdown"):
            self.assertIn(line + "\n", said)

    def test_round_trip_of_names_with_pem(self):
        said = self.round_trip("database archive pem password 7 01100F175804575D72", level="names")
        self.assertIn("4 name files", said)
        self.assertIn("ROOTCA.pem: CA certificate 0x1, RSA 2048 bits", said)

    def test_round_trip_at_level_minimum_knows_certificates_by_number(self):
        said = self.round_trip(level="minimum")
        self.assertIn("WARNING  of 2 certificates nothing but the serial number is known", said)
        self.assertIn("1 revoked serial number without the certificate here", said)

    def test_a_rollover_ca_comes_along(self):
        old = self.lab.daemon("old", self.text("database level complete"))
        old.exec("crypto pki server ROOTCA rollover")
        wait_for("its archive", (self.files / "ROOTCA_00001.p12").exists)
        shadow = re.search("Rollover CA certificate fingerprint: (.*)",
                           old.exec("show crypto pki server"))[1]
        old.stop()
        said = self.umbra_import()
        self.assertIn(": the rollover CA\n", said)
        new = self.lab.daemon("new", self.text("database level complete"), start=False)
        new.data = self.lab.path("imported")
        new.start()
        screen = new.exec("show crypto pki server")
        self.assertIn("Rollover status: available for rollover", screen)
        self.assertIn(shadow, screen)
        # On the day of the switch, from the same files: the second CA is the active one.
        new.stop()
        done = run("faketime", "-f", "+731d", self.lab.build / "umbra", "import", "ios", self.files,
                   "--passphrase-file", self.secret, "--data", self.lab.path("later"), ok=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"ROOTCA\.p12: .*: a CA of the past")
        self.assertRegex(done.stdout, r"ROOTCA_00001\.p12: .*: the active CA")

    # Files as a router has them.

    def make_router_files(self, *seal, bits=1024, digest="md5"):
        """A CA of OpenSSL's making in IOS's shape: MD5, 1024 bits, a CRL without extensions."""
        ca = self.lab.path("router")
        ca.mkdir()
        config = self.lab.write("router.cnf", f"""[ca]
default_ca=c
[c]
database={ca}/index
default_md={digest}
default_crl_days=1
[req]
distinguished_name=d
x509_extensions=x
[d]
[x]
basicConstraints=critical,CA:TRUE
keyUsage=critical,digitalSignature,keyCertSign,cRLSign
""")
        run("openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", f"-{digest}", "-days",
            "700", "-set_serial", "1", "-subj", "/O=Cisco/OU=TAC/CN=RootCA", "-config", config,
            "-keyout", ca / "key.pem", "-out", ca / "ca.pem")
        for serial in (2, 3):
            run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout",
                ca / f"{serial}.key", "-subj", f"/O=Cisco/CN=spoke-{serial}", "-out", ca / f"{serial}.csr")
            run("openssl", "x509", "-req", "-in", ca / f"{serial}.csr", "-CA", ca / "ca.pem",
                "-CAkey", ca / "key.pem", "-set_serial", str(serial), "-days", "300", f"-{digest}",
                "-outform", "der", "-out", self.files / f"0x{serial}.cer")
        yesterday = time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() - 86400))
        ends = time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + 86400 * 300))
        (ca / "index").write_text(f"R\t{ends}\t{yesterday},superseded\t03\tunknown\t/CN=spoke-3\n"
                                  f"R\t{ends}\t{yesterday}\t0A\tunknown\t/CN=gone\n")
        run("openssl", "ca", "-gencrl", "-config", config, "-cert", ca / "ca.pem", "-keyfile",
            ca / "key.pem", "-out", ca / "crl.pem")
        run("openssl", "crl", "-in", ca / "crl.pem", "-outform", "der", "-out",
            self.files / "ROOTCA.crl")
        run("openssl", "pkcs12", "-export", *seal, "-in", ca / "ca.pem", "-inkey", ca / "key.pem",
            "-name", "ROOTCA", "-passout", f"pass:{PASSPHRASE}", "-out", self.files / "ROOTCA.p12")
        (self.files / "ROOTCA.ser").write_text("db_version = 1\nlast_serial = 0xB")
        (self.files / "0xb.cnm").write_text(
            "subjectname_str = cn=spoke-11,o=Cisco, expiration = 08:48:17 CET Jan 14 2036\n")
        return ca

    def test_an_old_routers_files_rc2_3des_md5_and_1024_bits(self):
        ca = self.make_router_files("-legacy", "-certpbe", "PBE-SHA1-RC2-40", "-keypbe",
                                    "PBE-SHA1-3DES", "-macalg", "sha1")
        (self.files / "startup-config").write_text("hostname R1\n")
        said = self.umbra_import()
        self.assertIn("signed with MD5", said)
        self.assertIn("`allow legacy md5`", said)
        self.assertIn("`allow legacy rsa-1024`", said)
        self.assertIn("ignored  startup-config: no file of a certificate server", said)
        self.assertIn("1 revoked serial number without the certificate here", said)
        configuration = said[said.index("\nip http server") + 1:said.index("\nAdd what")]
        configuration = configuration.replace("ARCHIVE-PASSPHRASE", PASSPHRASE).replace(
            "ip http server\n", f"clock calendar-valid\nip http server\nip http address 127.0.0.1\n"
                                f"ip http port {self.port}\n").replace(
            " no shutdown", " grant auto\n no shutdown")
        new = self.lab.daemon("new", configuration, start=False)
        new.data = self.lab.path("imported")
        new.start()
        served = run_bytes("openssl", "x509", "-inform", "der", data=ca_der(self.port)).decode()
        self.assertEqual(served.strip(), (ca / "ca.pem").read_text().strip())
        self.assertEqual([serial for serial, _ in self.revoked()], ["03", "0A"])
        self.assertIn("serial number (hex): B", new.exec("show crypto pki server"))
        # The device renews with what the router gave it.
        peer = StrongSwan(self.lab, self.port, name="spoke-2")
        shutil.copy(ca / "2.key", peer.path("key-1.pem"))
        run("openssl", "x509", "-inform", "der", "-in", self.files / "0x2.cer", "-out",
            peer.path("1.pem"))
        peer.generation = 1
        renewed = peer.renew()
        self.assertEqual(int(renewed.serial, 16), 0xC)
        self.assertEqual(renewed.subject, "O = Cisco, CN = spoke-2")

    def test_without_the_legacy_provider_it_says_what_to_do(self):
        self.make_router_files("-legacy", "-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES",
                               "-macalg", "sha1")
        empty = self.lab.path("no-modules")
        empty.mkdir()
        done = run(self.lab.build / "umbra", "import", "ios", self.files, "--passphrase-file",
                   self.secret, "--data", self.lab.path("imported"), ok=False,
                   env={**os.environ, "OPENSSL_MODULES": str(empty)})
        self.assertEqual(done.returncode, 1)
        self.assertIn("legacy provider", done.stderr)
        self.assertIn("openssl pkcs12 -legacy", done.stderr)
        self.assertFalse(self.lab.path("imported").exists())

    def test_what_is_missing_or_wrong_is_said_and_nothing_is_made(self):
        self.make_router_files(bits=2048, digest="sha256")
        data = self.lab.path("imported")
        good = {path.name: path.read_bytes() for path in self.files.iterdir()}

        def restore():
            for name, content in good.items():
                (self.files / name).write_bytes(content)

        def refused(*words, **how):
            said = self.umbra_import(ok=False, **how)
            for word in words:
                self.assertIn(word, said)
            self.assertFalse(data.exists())

        with open(self.files / "7.crt", "wb") as huge:
            huge.truncate(2 << 20)
        refused("7.crt is larger than 1048576 octets")
        (self.files / "7.crt").unlink()
        self.secret.write_text("wrong\n")
        refused("ROOTCA.p12: it does not open with this passphrase")
        self.secret.write_text(PASSPHRASE)
        refused("--passphrase-file", passphrase=False)
        for name, word in (("ROOTCA.p12", "without the CA's key"), ("ROOTCA.crl", "--without-crl"),
                           ("ROOTCA.ser", "--last-serial")):
            (self.files / name).unlink()
            refused(word)
            restore()
        (self.files / "ROOTCA.crl").write_bytes(good["ROOTCA.crl"][:-1] + b"\0")
        refused("none of this server's CAs has signed it")
        restore()
        (self.files / "ROOTCA.ser").write_text("gibberish")
        refused("ROOTCA.ser: no `last_serial")
        restore()
        other = self.lab.path("other.pem")
        run("openssl", "genpkey", "-algorithm", "RSA", "-out", other)
        pem = self.files / "ROOTCA.pem"
        pem.write_text((self.lab.path("router") / "ca.pem").read_text() + run(
            "openssl", "pkcs8", "-topk8", "-in", other, "-passout", f"pass:{PASSPHRASE}"))
        (self.files / "ROOTCA.p12").unlink()
        refused("ROOTCA.pem: its key is not the one in its certificate")
        pem.unlink()
        restore()
        self.assertIn("no such.ser", self.umbra_import("--name", "such", ok=False))
        data.mkdir()
        os.chown(data, 65500, 65500)
        self.assertIn("belongs to the user with the number 65500", self.umbra_import(ok=False))
        self.assertEqual(list(data.iterdir()), [])
        os.chown(data, 0, 0)
        self.umbra_import()
        before = {path.name: path.read_bytes() for path in data.iterdir()}
        self.assertIn("has a certificate server ROOTCA already", self.umbra_import(ok=False))
        self.assertEqual(before["passphrase"], (data / "passphrase").read_bytes())

    def test_a_pem_archive_as_ios_seals_it(self):
        ca = self.make_router_files(bits=2048, digest="sha256")
        (self.files / "ROOTCA.p12").unlink()
        (self.files / "ROOTCA.pem").write_text((ca / "ca.pem").read_text() + run(
            "openssl", "rsa", "-traditional", "-des3", "-in", ca / "key.pem", "-passout",
            f"pass:{PASSPHRASE}"))
        self.assertIn("DEK-Info: DES-EDE3-CBC", (self.files / "ROOTCA.pem").read_text())
        self.assertIn("ROOTCA.pem: CA certificate 0x1", self.umbra_import())
        self.secret.write_text("wrong")
        self.assertIn("does not open with this passphrase",
                      self.umbra_import(ok=False, data="second"))


if __name__ == "__main__":
    unittest.main()
