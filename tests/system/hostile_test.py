"""Our client against servers that answer by HTTP what they should not. A real CA stands behind them, so
that all but one answer is good; what is wrong with the messages themselves is src/client/hostile_test.cc's."""

import http.server
import os
import re
import threading
import time
import unittest
import urllib.request

from umbra_lab import Lab, ca_der, fingerprint, free_port, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")
GIBIBYTE = 1 << 30


def redirect(handler, _):
    handler.send_response(302)
    handler.send_header("Location", f"http://127.0.0.1:{handler.server.ca}/scep")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def error(handler, _):
    handler.send_error(500)


def garbage(handler, reply):
    handler.answer(os.urandom(len(reply)))


def truncated(handler, reply):
    handler.answer(reply[:len(reply) // 2])


def cut_off(handler, reply):
    handler.answer(reply[:len(reply) // 2], length=len(reply))
    handler.close_connection = True


def endless(handler, _):
    block = b"\x30" * 65536
    handler.answer(b"", length=2 * GIBIBYTE)
    while handler.server.sent < 2 * GIBIBYTE:
        handler.wfile.write(block)
        handler.server.sent += len(block)


def drip(handler, reply):
    """An octet each second, for as long as anybody waits."""
    handler.answer(b"", length=len(reply))
    for octet in reply:
        if handler.server.relents:
            break
        handler.wfile.write(bytes([octet]))
        time.sleep(1)
    handler.close_connection = True


def of_another(handler, reply):
    """The answer to somebody else: another transaction, and enveloped for another key."""
    handler.answer(handler.server.somebodys or reply[:1])


# What becomes of the answer to PKIOperation, and what the log says of it.
CASES = {
    "redirect": (redirect, "HTTP status 302"),
    "error": (error, "HTTP status 500"),
    "garbage": (garbage, ""),
    "truncated": (truncated, ""),
    "cutoff": (cut_off, "transfer closed|[Tt]ransferred a partial file"),
    "endless": (endless, "the reply is larger than 1 MiB"),
    "drip": (drip, "[Tt]imed out|[Tt]imeout"),
    "another": (of_another, "the reply belongs to another transaction"),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, length=None, kind="application/x-pki-message"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def forward(self, body=None):
        """What the CA says to it, below its own path."""
        name = self.path.split("/")[1]
        url = f"http://127.0.0.1:{self.server.ca}/scep?{self.path.split('?', 1)[1]}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/x-pki-message"}
                                         if body is not None else {})
        with urllib.request.urlopen(request, timeout=20) as reply:
            content, kind = reply.read(), reply.headers["Content-Type"]
        if "PKIOperation" not in self.path or self.server.relents:
            return self.answer(content, kind=kind)
        with self.server.lock:
            self.server.asked[name] = self.server.asked.get(name, 0) + 1
            if name == "error":
                self.server.somebodys = content
        return CASES[name][0](self, content)

    def do_GET(self):
        self.forward()

    def do_POST(self):
        self.forward(self.rfile.read(int(self.headers["Content-Length"])))

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except OSError:  # the client has had enough
            self.close_connection = True


class HostileTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))

    def test_nothing_is_installed_all_is_named_and_asked_again(self):
        # A minute of theirs is a second of ours.
        start = time.time()
        lapse = ("--time-lapse",
                 f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(start))}@60@{int(start)}")
        port = free_port()
        self.lab.daemon("ca", server_text(port), *lapse)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.ca, server.relents, server.sent, server.somebodys = port, False, 0, b""
        server.asked, server.lock = {}, threading.Lock()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        pin = fingerprint(ca_der(port))
        told = self.lab.path("told")
        files = {name: self.lab.path(f"files-{name}") for name in CASES}
        agent = self.lab.daemon("agent", "hostname agent\nclock calendar-valid\n" + "".join(
            f"crypto pki trustpoint {name}\n"
            f" enrollment url http://127.0.0.1:{server.server_port}/{name}/scep\n"
            f" enrollment retry period 1\n fingerprint {pin}\n subject-name CN={name}\n"
            f" auto-enroll 80\n storage pem {files[name]}\n"
            f" on change exec echo $UMBRA_TRUSTPOINT >>{told}\n" for name in CASES), *lapse)

        for name, (_, named) in CASES.items():
            expected = re.compile(rf"%UMBRA-4-NO_ANSWER: Trustpoint {name}: no usable answer from the "
                                  rf"CA: .*({named})")
            # A minute of patience is one of ours too; once will do.
            times, patience = (1, 120) if name == "drip" else (2, 60)
            wait_for(f"{name} to be named", lambda e=expected, t=times: len(
                e.findall(agent.log())) >= t, patience)
            wait_for(f"{name} to be asked again", lambda n=name: server.asked[n] >= 2)
            self.assertFalse(files[name].exists(), f"{name}: nothing is installed")
        self.assertLess(server.sent, GIBIBYTE // 4, "nobody waits for two gibibytes")
        with open(f"/proc/{agent.process.pid}/status", encoding="ascii") as status:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1))
        self.assertLess(peak, 100 * 1024, "nor keeps what comes")

        server.relents = True
        for name in CASES:
            wait_for(f"{name}'s certificate", (files[name] / "cert.pem").exists, 120)
        wait_for("all to be told", lambda: set(told.read_text().split()) == set(CASES))


if __name__ == "__main__":
    unittest.main()
