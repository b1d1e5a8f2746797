"""nginx with an agent's files, while its CA is replaced: the recipe of docs/CLIENT.md."""

import os
import socket
import ssl
import subprocess
import threading
import time
import unittest

from overlap import Overlap
from umbra_lab import Lab, free_port, run, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")

CONFIGURATION = """daemon off;
pid {lab}/nginx.pid;
error_log {lab}/nginx.log notice;
worker_processes 2;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {lab}/nginx-body;
  proxy_temp_path {lab}/nginx-proxy;
  fastcgi_temp_path {lab}/nginx-fastcgi;
  uwsgi_temp_path {lab}/nginx-uwsgi;
  scgi_temp_path {lab}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {files}/chain.pem;
    ssl_certificate_key {files}/key.pem;
    return 200 "served\\n";
  }}
}}
"""


class Hammer(threading.Thread):
    """Connects again and again until it is told to stop; keeps when what went wrong."""

    def __init__(self, connect):
        super().__init__()
        self.connect = connect
        self.stopping = threading.Event()
        self.good = []
        self.bad = []

    def run(self):
        while not self.stopping.is_set():
            begun = time.time()
            failure = self.connect()
            if failure is None:
                self.good.append(begun)
            else:
                self.bad.append((begun, failure))
            time.sleep(0.01)

    def end(self):
        self.stopping.set()
        self.join()


class NginxTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()

    def gnutls(self, trusted):
        """gnutls-cli: checks chain, name and time, and takes RFC 5280's validity as it is written."""
        def connect():
            done = subprocess.run(
                ["gnutls-cli", "--x509cafile", trusted, "--port", str(self.port), "localhost"],
                input="GET / HTTP/1.0\r\n\r\n", capture_output=True, text=True, check=False)
            return None if done.returncode == 0 and "served" in done.stdout else "".join(
                line for line in done.stdout.splitlines() if "Status" in line) or done.stderr
        return connect

    def openssl(self, trusted):
        """Python's ssl: the same, by OpenSSL."""
        context = ssl.create_default_context(cafile=trusted)

        def connect():
            try:
                with socket.create_connection(("127.0.0.1", self.port), 20) as raw, \
                        context.wrap_socket(raw, server_hostname="localhost") as tls:
                    tls.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
                    body = b"".join(iter(lambda: tls.recv(4096), b""))
                    return None if body.endswith(b"served\n") else repr(body)
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            except OSError as error:
                return str(error)
        return connect

    def test_clients_see_a_valid_chain_all_through_a_switch(self):
        web, clients = self.lab.path("files-web"), self.lab.path("files-clients")
        conf = self.lab.path("nginx.conf")
        conf.write_text(CONFIGURATION.format(lab=self.lab.directory, port=self.port, files=web))
        told = self.lab.path("told")
        reload = self.lab.write("reload", f"""#!/bin/sh
echo "$UMBRA_EVENT $UMBRA_SERIAL" >>{told}
[ ! -e {self.lab.path("nginx.pid")} ] || exec nginx -c {conf} -e {self.lab.path("nginx.log")} -s reload
""")
        reload.chmod(0o755)
        site = Overlap(self.lab, {
            "web": ["subject-name CN=web", "subject-alt-name localhost",
                    f"storage pem {web}", f"on change exec {reload}"],
            "clients": ["subject-name CN=clients", f"storage pem {clients} include rollover-ca"],
        })
        nginx = self.lab.spawn("nginx", "-c", conf, "-e", self.lab.path("nginx.log"))
        wait_for("nginx", lambda: self.openssl(clients / "ca.pem")() is None)

        # One that read the trusted CAs before the switch and never again, and one that reads them
        # each time.
        kept = self.lab.write("kept.pem", (clients / "ca.pem").read_text())
        self.assertEqual(kept.read_text().count("BEGIN"), 2, "both CAs are trusted")
        hammers = {"kept": Hammer(self.gnutls(kept)),
                   "fresh": Hammer(self.gnutls(clients / "ca.pem")),
                   "openssl": Hammer(self.openssl(kept))}
        for hammer in hammers.values():
            hammer.start()
        wait_for("the switch", lambda: "switch-over" in told.read_text(), site.left() + 60)
        time.sleep(3)  # of hammering what is new
        for hammer in hammers.values():
            hammer.end()
        self.assertIsNone(nginx.poll())
        switch = site.switch_at
        for name, hammer in hammers.items():
            before = sum(1 for at in hammer.good if at < switch)
            print(f"{name}: {before} connections before the switch, {len(hammer.good) - before} after; "
                  f"failures: {[(round(at - switch, 3), what) for at, what in hammer.bad]}")
            self.assertGreater(before, 20)
            self.assertGreater(len(hammer.good) - before, 20)
        self.assertEqual(hammers["kept"].bad, [])
        self.assertEqual(hammers["fresh"].bad, [])
        # RFC 5280's validity includes its last second, OpenSSL's does not: until nginx has the new
        # certificate, a fraction of a second, OpenSSL's clients find the old one expired. Nothing
        # else may they find.
        for at, what in hammers["openssl"].bad:
            self.assertEqual(what, "certificate has expired")
            self.assertTrue(switch - 0.5 < at < switch + 1, at - switch)
        self.assertEqual([line.split()[0] for line in told.read_text().splitlines()][-1],
                         "switch-over")
        serial = run("openssl", "x509", "-noout", "-serial", "-in", web / "cert.pem").strip()
        self.assertIn(serial.split("=")[1], told.read_text().splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
