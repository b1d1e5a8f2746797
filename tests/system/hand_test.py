"""What is done to a trustpoint by hand, with umbra exec: requests and certificates that people carry,
keys and certificates that are moved, revocation by CRL and by openssl's OCSP responder."""

import http.server
import os
import re
import threading
import unittest

from umbra_lab import (Lab, ca_der, fingerprint, free_port, run, run_bytes, server_text,
                       wait_for)

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\n", re.S)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.S)


class Responder(http.server.ThreadingHTTPServer):
    """openssl ocsp behind HTTP on loopback; its own server would listen everywhere."""

    def __init__(self, directory, port):
        self.directory, self.says, self.signs = directory, "", "ca"
        super().__init__(("127.0.0.1", port), Answers)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # pylint: disable=invalid-name
        at = self.server.directory
        (at / "asked").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        (at / "index.txt").write_text(self.server.says)
        run("openssl", "ocsp", "-index", at / "index.txt", "-reqin", at / "asked", "-respout",
            at / "answer", "-rsigner", at / f"{self.server.signs}.crt", "-rkey",
            at / f"{self.server.signs}.key", "-CA", at / "ca.crt", "-ndays", "1")
        body = (at / "answer").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/ocsp-response")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


class HandTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()

    def agent(self, *blocks):
        """An umbrad with these trustpoints: (name, lines)."""
        text = "hostname box\nclock calendar-valid\n"
        for name, *lines in blocks:
            text += f"crypto pki trustpoint {name}\n" + "".join(f" {line}\n" for line in lines)
        self.box = self.lab.daemon("box", text)
        return self.box

    def refused(self, command, text_in=""):
        done = self.box.exec(command, ok=False, text_in=text_in)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stdout

    def certificate_of(self, name):
        return self.lab.path(f"files/{name}/cert.pem").read_text()

    def files(self, name):
        return f"storage pem {self.lab.path('files')}/{name}"

    def test_a_request_is_carried_to_the_ca_and_its_certificate_back(self):
        ca = self.lab.daemon("ca", server_text(self.port))
        pem = run_bytes("openssl", "x509", "-inform", "der", data=ca_der(self.port)).decode()
        self.agent(("T", "enrollment terminal", "subject-name CN=box", self.files("T")))
        self.assertIn("not authenticated", self.refused("crypto pki enroll T"))
        self.assertIn("not accepted", self.refused("crypto pki authenticate T", pem + "\nno\n"))
        shown = self.box.exec("crypto pki authenticate T", text_in=pem + "\nyes\n")
        self.assertIn(fingerprint(ca_der(self.port))[:8], shown)
        self.assertIn("Trustpoint CA certificate accepted.", shown)
        said = self.box.exec("crypto pki enroll T")
        request = said[said.index("-----BEGIN"):said.index("---End")]
        answer = ca.exec("crypto pki server ROOTCA request pkcs10 terminal pem",
                         text_in=request + "\nquit\n")
        granted = CERTIFICATE.search(answer).group()
        command = "crypto pki import T certificate"
        self.assertIn("signed by the CA", self.refused(command, pem + "\n"))
        self.refused(command, "this is none\n\n")
        self.assertIn("successfully imported", self.box.exec(command, text_in=granted + "\n"))
        self.assertEqual(self.certificate_of("T"), granted)
        self.assertIn("nothing was asked for", self.refused(command, granted + "\n"))

    def test_a_profile_says_where_its_trustpoints_enrol(self):
        ca = self.lab.daemon("ca", server_text(self.port))
        url, dead = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{free_port()}"
        pin = fingerprint(ca_der(self.port))
        self.box = self.lab.daemon("box", f"""hostname box
clock calendar-valid
crypto pki trustpoint A
 enrollment profile P
 subject-name CN=a
 fingerprint {pin}
 enrollment spread 0
 auto-enroll 80
crypto pki trustpoint B
 enrollment profile P
 subject-name CN=b
crypto pki trustpoint C
 enrollment profile Q
 subject-name CN=c
crypto pki profile enrollment P
 authentication url {url}
 enrollment url {dead}
 enrollment url {url}
crypto pki profile enrollment Q
 authentication terminal
 enrollment url {url}
""")
        wait_for("A to enrol by itself", lambda: "RENEW A" in self.box.exec("show crypto pki timers"))
        self.assertIn(pin[:8], self.box.exec(f"crypto pki authenticate B fingerprint {pin}"))
        self.box.exec("crypto pki enroll B")
        self.assertIn("certificate", self.refused("crypto pki authenticate C", "this is none\n\n"))
        self.assertIn("not authenticated",
                      self.box.exec("show crypto pki status trustpoint C", ok=False).stdout)
        pem = run_bytes("openssl", "x509", "-inform", "der", data=ca_der(self.port)).decode()
        self.box.exec("crypto pki authenticate C", text_in=pem + "\nyes\n")
        self.box.exec("crypto pki enroll C")
        names = ["cn=a", "cn=b", "cn=c"]
        wait_for("all to be certified", lambda: all(
            name in ca.exec("show crypto pki server ROOTCA certificates") for name in names))
        typed = self.lab.write("gone", "configure terminal\nno crypto pki profile enrollment P\n")
        refused = run(self.lab.build / "umbra", "exec", "-f", typed, "--socket",
                      self.box.data / "umbra.sock", ok=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("there is no enrollment profile P", refused.stdout + refused.stderr)

    def test_a_certificate_of_the_factory_signs_the_first_request_to_the_site(self):
        factory = free_port()
        self.lab.daemon("factory", server_text(factory, name="FACTORY"))
        ca = self.lab.daemon("ca", server_text(self.port, lines=["grant auto trustpoint MADE"]) +
                             f"""crypto pki trustpoint MADE
 enrollment url http://127.0.0.1:{factory}
 revocation-check none
""")
        pins = {port: fingerprint(ca_der(port)) for port in (factory, self.port)}
        ca.exec(f"crypto pki authenticate MADE fingerprint {pins[factory]}")
        self.box = self.lab.daemon("box", f"""hostname box
clock calendar-valid
crypto pki trustpoint BORN
 enrollment url http://127.0.0.1:{factory}
 subject-name CN=serial-4711
 fingerprint {pins[factory]}
crypto pki trustpoint SITE
 enrollment profile P
 enrollment spread 0
 subject-name CN=box
 fingerprint {pins[self.port]}
 auto-enroll 80
crypto pki profile enrollment P
 enrollment url http://127.0.0.1:{self.port}
 enrollment credential BORN
""")
        wait_for("SITE to say what it waits for", lambda: "which has none yet" in self.box.log())
        self.box.exec("crypto pki authenticate BORN")
        self.box.exec("crypto pki enroll BORN")
        wait_for("BORN", lambda: "CN=serial-4711" in
                 self.box.exec("show crypto pki certificates BORN").replace("cn=", "CN="))
        self.box.exec("no crypto pki enroll SITE")
        self.box.exec("crypto pki enroll SITE")
        wait_for("SITE", lambda: "RENEW SITE" in self.box.exec("show crypto pki timers"))
        self.assertIn("cn=box", ca.exec("show crypto pki server ROOTCA certificates"))

    def test_an_exportable_key_moves_with_its_certificate_and_no_other_key_does(self):
        ca = self.lab.daemon("ca", server_text(self.port))
        url = f"enrollment url http://127.0.0.1:{self.port}"
        pin = f"fingerprint {fingerprint(ca_der(self.port))}"
        self.agent(("OWN", url, pin, "rsakeypair own", "auto-enroll"),
                   ("OUT", url, pin, "rsakeypair out", self.files("OUT")),
                   ("PEM", url, pin, "subject-name CN=pem", self.files("PEM"), "rsakeypair pem"),
                   ("OLD", pin, "enrollment terminal", self.files("OLD"), "rsakeypair old"),
                   ("P12", url, pin, self.files("P12"), "rsakeypair p12"))
        box = self.box
        made = box.exec("crypto key generate rsa label out exportable modulus 2048")
        self.assertIn("keys will be exportable", made)
        self.assertIn("1024 bits is refused",
                      self.refused("crypto key generate rsa label x modulus 1024"))
        self.assertIn("Nothing is replaced",
                      box.exec("crypto key generate rsa label out", text_in="no\n"))
        box.exec("crypto pki authenticate OUT")
        box.exec("crypto pki enroll OUT")
        wait_for("a certificate", lambda: self.lab.path("files/OUT/cert.pem").exists())
        wait_for("another", lambda: "OWN" in box.exec("show crypto pki status")
                 and "OK" in box.exec("show crypto pki status trustpoint OWN"))
        self.assertIn("not exportable",
                      self.refused("crypto pki export OWN pkcs12 terminal password secret-42"))
        self.assertIn("8 characters",
                      self.refused("crypto pki export OUT pkcs12 terminal password secret"))
        self.assertNotIn("PRIVATE", box.exec("crypto pki export OWN pem terminal"))

        p12 = self.lab.path("out.p12")
        box.exec(f"crypto pki export OUT pkcs12 unix:{p12} password secret-42")
        self.assertEqual(p12.stat().st_mode & 0o777, 0o600)
        self.assertIn("already",
                      self.refused(f"crypto pki export OUT pkcs12 unix:{p12} password secret-42"))
        listed = run("openssl", "pkcs12", "-in", p12, "-nodes", "-passin", "pass:secret-42")
        self.assertEqual(len(CERTIFICATE.findall(listed)), 2)
        pem = box.exec("crypto pki export OUT pem terminal aes secret-42")
        key = run("openssl", "pkey", "-passin", "pass:secret-42", text_in=KEY.search(pem).group())
        self.assertEqual(key, self.lab.path("files/OUT/key.pem").read_text())
        box.exec(f"crypto pki export OUT pem url unix:{self.lab.path('moved')} 3des secret-42")
        self.assertIn("DEK-Info: DES-EDE3-CBC", self.lab.path("moved.prv").read_text())

        wrong = f"crypto pki import P12 pkcs12 unix:{p12} password secret-43"
        self.assertIn("passphrase", self.refused(wrong))
        box.exec(f"crypto pki import P12 pkcs12 unix:{p12} exportable password secret-42")
        self.assertEqual(self.certificate_of("P12"), self.certificate_of("OUT"))
        self.assertIn("already",
                      self.refused(f"crypto pki import P12 pkcs12 unix:{p12} password secret-42"))
        box.exec("crypto pki export P12 pem terminal aes secret-42")
        box.exec("crypto pki import PEM pem terminal password secret-42", text_in=pem + "quit\n")
        self.assertEqual(self.certificate_of("PEM"), self.certificate_of("OUT"))
        self.assertIn("not exportable",
                      self.refused("crypto pki export PEM pem terminal aes secret-42"))
        box.exec(f"crypto pki import OLD pem url unix:{self.lab.path('moved')} password secret-42")
        self.assertEqual(self.certificate_of("OLD"), self.certificate_of("OUT"))

        self.assertIn("Nothing is removed", box.exec("crypto key zeroize rsa p12", text_in="no\n"))
        kept = self.lab.path("files/P12/key.pem.before-umbra")
        kept.write_text("somebody's")
        said = box.exec("crypto key zeroize rsa p12", text_in="yes\n")
        self.assertIn("of trustpoint(s) P12", said)
        self.assertIn(f"% {kept} is not umbrad's, may hold a key, and stays", said)
        self.assertIn("no key pair named p12", self.refused("crypto key zeroize rsa p12"))
        self.assertEqual(list(self.lab.path("files/P12").iterdir()), [kept])
        self.assertEqual(self.certificate_of("PEM"), self.certificate_of("OUT"))
        self.assertEqual(ca.exec("crypto pki server ROOTCA remove all"), "")

    def test_archives_that_would_keep_it_busy_or_are_none_are_refused_at_once(self):
        self.agent(("T", "enrollment terminal"))
        name = self.lab.path("slow")
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.crt", "-subj", "/CN=slow")
        run("openssl", "pkcs12", "-export", "-inkey", f"{name}.key", "-in", f"{name}.crt", "-out",
            f"{name}.p12", "-passout", "pass:secret-42", "-iter", "4000001", "-nomaciter",
            timeout=120)
        refused = self.refused(f"crypto pki import T pkcs12 unix:{name}.p12 password secret-42")
        self.assertIn("4,000,000 rounds", refused)
        run("openssl", "pkcs8", "-topk8", "-in", f"{name}.key", "-out", f"{name}.prv", "-passout",
            "pass:secret-42", "-iter", "4000001", timeout=120)
        refused = self.refused(f"crypto pki import T pem url unix:{name} password secret-42")
        self.assertIn("4,000,000 rounds", refused)
        other = run("openssl", "genrsa", "2048")
        self.lab.path("slow.prv").write_text(other)
        refused = self.refused(f"crypto pki import T pem url unix:{name} password secret-42")
        self.assertIn("not the one in its certificate", refused)
        self.refused(f"crypto pki import T pkcs12 unix:{name}.crt password secret-42")
        self.refused("crypto pki import T pkcs12 unix:/dev/zero password secret-42")

    def test_openssls_ocsp_responder_is_asked_and_believed(self):
        """A CA of openssl's, whose certificate and key are imported."""
        at = self.lab.directory
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", at / "ca.key",
            "-out", at / "ca.crt", "-subj", "/CN=Other CA", "-days", "30")
        ocsp_port = free_port()
        (at / "ext").write_text(
            f"authorityInfoAccess=OCSP;URI:http://127.0.0.1:{ocsp_port}\n")
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", at / "t.key", "-out",
            at / "t.csr", "-subj", "/CN=box")
        run("openssl", "x509", "-req", "-in", at / "t.csr", "-CA", at / "ca.crt", "-CAkey",
            at / "ca.key", "-set_serial", "0x2A", "-days", "20", "-out", at / "t.crt", "-extfile",
            at / "ext")
        everything = "".join((at / name).read_text() for name in ("t.key", "ca.crt", "t.crt"))
        self.agent(("T", "enrollment terminal", "revocation-check ocsp"))
        self.box.exec("crypto pki import T pem terminal password unused-42",
                      text_in=everything + "quit\n")
        command = "crypto pki certificate validate T"
        self.assertIn("is invalid", self.refused(command))  # nobody answers

        responder = self.enterContext(Responder(at, ocsp_port))
        responder.says = "V\t491231235959Z\t\t2A\tunknown\t/CN=box\n"
        said = self.box.exec(command)
        self.assertIn("Certificate: good (OCSP: not revoked)", said)
        self.assertIn("Certificate chain for T is valid", said)
        # One whom the CA has given a certificate, and not made a responder.
        responder.signs = "t"
        self.assertIn("not signed by the CA or for it", self.refused(command))
        responder.signs = "ca"
        responder.says = "R\t491231235959Z\t251231235959Z\t2A\tunknown\t/CN=box\n"
        self.assertIn("Certificate: NOT GOOD (OCSP: revoked)", self.refused(command))
        responder.says = ""
        self.assertIn("does not know the certificate", self.refused(command))

    def test_a_crl_is_fetched_on_request_and_tells_who_is_revoked(self):
        ca = self.lab.daemon("ca", server_text(self.port, lines=(
            f"cdp-url http://127.0.0.1:{self.port}/cgi-bin/pkiclient.exe?operation=GetCRL",)))
        self.agent(("T", f"enrollment url http://127.0.0.1:{self.port}", self.files("T"),
                    f"fingerprint {fingerprint(ca_der(self.port))}", "auto-enroll 80"))
        wait_for("a certificate", lambda: self.lab.path("files/T/cert.pem").exists())
        command = "crypto pki certificate validate T"
        self.assertIn("not revoked", self.box.exec(command))
        serial = run("openssl", "x509", "-noout", "-serial", "-in",
                     self.lab.path("files/T/cert.pem")).strip().split("=")[1]
        ca.exec(f"crypto pki server ROOTCA revoke 0x{serial}")
        self.assertRegex(self.box.exec("crypto pki crl request T"), r"1 certificate\(s\) revoked")
        self.assertIn("NOT GOOD", self.refused(command))
        ca.stop()
        self.assertIn("127.0.0.1", self.refused("crypto pki crl request T"))
        self.assertIn("%PKI-3-CRL_FETCH_FAIL: CRL fetch for trustpoint T failed", self.box.log())


if __name__ == "__main__":
    unittest.main()
