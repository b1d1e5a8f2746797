"""A certificate server under many requests at once, and killed three times in the middle of them:
what was answered is in the store, every repeated request gets the same certificate, and no serial
is used twice. Under ThreadSanitizer it is the test of the request path's threads."""

import collections
import concurrent.futures
import http.server
import os
import pathlib
import subprocess
import threading
import time
import unittest

from crash_site import Books, ask, pem_bodies
from umbra_lab import Lab, ca_der, der_to_pem, fetch, free_port, run_bytes, server_text

BUILD = pathlib.Path(os.environ.get("UMBRA_BUILD", "build/release"))

MESSAGES = 48
CLIENTS = 8
REPEATS = 3  # every message is sent so many times, mostly by several clients at once
KILLS = 3
SECONDS_MAX = 180


class Recorder(http.server.ThreadingHTTPServer):
    """Takes a SCEP client's message for the server, and answers nothing."""

    def __init__(self, capabilities):
        super().__init__(("127.0.0.1", 0), RecorderHandler)
        self.capabilities, self.messages = capabilities, {}

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()


class RecorderHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # pylint: disable=invalid-name
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.capabilities)))
        self.end_headers()
        self.wfile.write(self.server.capabilities)

    def do_POST(self):  # pylint: disable=invalid-name
        name = self.path.strip("/").split("?")[0]
        self.server.messages[name] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(503)

    def log_message(self, *line):  # pylint: disable=arguments-differ
        pass


class ParallelTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/scep?operation="
        self.daemon = self.lab.daemon("ca", server_text(self.port))
        self.open = collections.deque()  # names of messages to send
        self.replies = []  # (name, CertRep)
        self.over = threading.Event()

    def key(self, name):
        return self.lab.path(f"{name}.key")

    def make_message(self, recorder, ca, name):
        self.key(name).write_bytes(subprocess.run(
            ["pki", "--gen", "--type", "rsa", "--size", "2048", "--outform", "pem"],
            check=True, capture_output=True).stdout)
        # It fails for want of an answer; what it asked is what is wanted.
        subprocess.run(
            ["pki", "--scep", "--url", f"http://127.0.0.1:{recorder.server_port}/{name}", "--in",
             self.key(name), "--dn", f"O=Cisco, CN={name}", "--cacert-enc", ca, "--cacert-sig", ca,
             "--cacert", ca], capture_output=True, timeout=60, check=False)
        return recorder.messages[name]

    def make_messages(self):
        ca = self.lab.path("ca.pem")
        ca.write_bytes(der_to_pem(ca_der(self.port)))
        with Recorder(fetch(self.url + "GetCACaps")) as recorder, \
                concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            names = [f"spoke-{number}" for number in range(MESSAGES)]
            return dict(zip(names, pool.map(
                lambda name: self.make_message(recorder, ca, name), names)))

    def certificate_in(self, name, reply):
        """The certificate of a CertRep: opened with the client's key, by openssl."""
        enveloped = run_bytes("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "der",
                              data=reply)
        inner = run_bytes("openssl", "cms", "-decrypt", "-binary", "-inform", "der", "-inkey",
                          self.key(name), data=enveloped)
        found = pem_bodies(run_bytes("openssl", "pkcs7", "-inform", "der", "-print_certs",
                                     data=inner).decode())
        self.assertEqual(len(found), 1, name)
        return name, found[0]

    def client(self, messages):
        """Sends what is open until all is answered; what got no answer is sent again."""
        while len(self.replies) < MESSAGES * REPEATS and not self.over.is_set():
            try:
                name = self.open.popleft()
            except IndexError:
                time.sleep(0.01)  # others may fail yet
                continue
            reply = ask(self.url + "PKIOperation", messages[name])
            if reply is None:
                self.open.append(name)
                time.sleep(0.02)
            else:
                self.replies.append((name, reply))

    def reader(self):
        """Whoever looks at the server meanwhile."""
        while not self.over.is_set():
            for operation in ("GetCACert", "GetCACaps", "GetNextCACert"):
                ask(self.url + operation)
            for screen in ("server", "timers", "certificates"):
                self.daemon.exec(f"show crypto pki {screen}", ok=False)

    def run_until(self, answers, end):
        while len(self.replies) < answers:
            self.assertLess(time.monotonic(), end, "answers come too slowly")
            time.sleep(0.001)

    def test_nothing_answered_is_lost_by_three_deaths(self):
        messages = self.make_messages()
        self.open.extend(name for name in messages for _ in range(REPEATS))
        total = len(self.open)
        threads = [threading.Thread(target=self.client, args=(messages,)) for _ in range(CLIENTS)]
        threads.append(threading.Thread(target=self.reader))
        for thread in threads:
            thread.start()
        end = time.monotonic() + SECONDS_MAX
        try:
            for death in range(1, KILLS + 1):
                self.run_until(total * death // (KILLS + 1), end)
                self.daemon.kill()
                self.daemon.start()
            self.run_until(total, end)
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(self.daemon.stop(), 0)
        self.check_store()
        self.assertNotIn("WARNING: ThreadSanitizer", self.daemon.log())

    def check_store(self):
        books = Books(self.daemon.data, self.lab.path("books"))
        self.assertTrue(books.intact())
        issued = books.issued()
        answers = collections.defaultdict(set)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, certificate in pool.map(lambda reply: self.certificate_in(*reply),
                                              self.replies):
                answers[name].add(certificate)
        self.assertEqual(len(answers), MESSAGES)
        for name, certificates in answers.items():
            self.assertEqual(len(certificates), 1, f"{name} was given different certificates")
            self.assertLessEqual(certificates, set(issued), f"{name}'s is not in the store")
        self.assertEqual(len({row["serial"] for row in issued.values()}), len(issued))
        self.assertEqual(len(issued), MESSAGES + 1, "one for each message, and the CA's own")


if __name__ == "__main__":
    unittest.main()
