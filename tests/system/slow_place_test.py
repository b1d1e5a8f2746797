"""A place of storage that does not answer: its trustpoint's files wait, and nothing else does."""

import os
import signal
import subprocess
import time
import unittest

from umbra_lab import Lab, ca_der, fingerprint, free_port, run, server_text, wait_for

BUILD = os.environ.get("UMBRA_BUILD", "build/release")


class SlowPlaceTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD))
        self.port = free_port()
        # Half a minute of theirs is a second of ours.
        start = int(time.time())
        self.lapse = ("--time-lapse",
                      f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(start))}@30@{start}")
        self.lab.daemon("ca", server_text(self.port), *self.lapse)

    def trustpoint(self, name):
        return f"""crypto pki trustpoint {name}
 enrollment url http://127.0.0.1:{self.port}
 fingerprint {fingerprint(ca_der(self.port))}
 subject-name CN={name}
 rsakeypair {name}-key 2048
 auto-enroll 80
 storage pem {self.lab.path(name)}
"""

    def text(self, *names):
        return "hostname agent\nclock calendar-valid\n" + "".join(map(self.trustpoint, names))

    def hang(self, name):
        """Who reads a pipe waits for its writer, as for a file server that is down."""
        pipe = (self.lab.path(name) / "ca.pem").resolve()
        pipe.unlink()
        os.mkfifo(pipe)
        pipe.chmod(0o644)
        return pipe

    def test_two_places_hang_and_all_else_goes_on(self):
        agent = self.lab.daemon("agent", self.text("one", "two"), *self.lapse)
        for name in ("one", "two"):
            wait_for(f"the files of {name}", (self.lab.path(name) / "cert.pem").exists)
        agent.stop()
        pipes = [self.hang(name) for name in ("one", "two")]
        agent.config.write_text(self.text("one", "two", "three"))
        agent.start()
        wait_for("the third one's files", (self.lab.path("three") / "cert.pem").exists)
        for name in ("one", "two"):
            wait_for("it to be said",
                     lambda: f"Trustpoint {name}: {self.lab.path(name)} does not answer since"
                     in agent.log())
            done = run(self.lab.build / "umbra", "status", "--socket", agent.data / "umbra.sock",
                       "--trustpoint", name, ok=False)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)

        # A change of the very trustpoint, and a new one beside it.
        agent.config.write_text(self.text("two", "three", "four"))
        agent.process.send_signal(signal.SIGHUP)
        wait_for("the fourth one's files", (self.lab.path("four") / "cert.pem").exists)
        wait_for("it to be said", lambda: "Trustpoint one: it has not done yet" in agent.log())

        # It is there again: what was held up is done.
        os.close(os.open(pipes[1], os.O_WRONLY))
        wait_for("the second one's files", lambda: not (self.lab.path("two") / "ca.pem").is_fifo())
        begun = time.monotonic()
        self.assertEqual(agent.stop(), 0)
        self.assertLess(time.monotonic() - begun, 25, "the first one is not waited for")
        self.assertIn("umbrad ends without it", agent.log())

    def test_keys_that_are_being_removed_at_the_end_are_told_of_in_order(self):
        # What has been given back is no memory to read from.
        agent = self.lab.daemon("agent", self.text("one"), *self.lapse,
                                environment={"MALLOC_PERTURB_": "165"})
        cert = self.lab.path("one") / "cert.pem"
        wait_for("the files", cert.exists)
        pipe = cert.resolve()
        pipe.unlink()
        os.mkfifo(pipe)
        with subprocess.Popen([self.lab.build / "umbra", "exec", "crypto key zeroize rsa one-key",
                               "--socket", agent.data / "umbra.sock"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as asked:
            asked.stdin.write(b"yes\n")
            asked.stdin.close()
            wait_for("it to wait for the pipe", lambda: "%UMBRA-3-STORAGE" in agent.log())
            agent.process.terminate()
            wait_for("it to stop", lambda: "%UMBRA-5-STOPPING" in agent.log())
            os.close(os.open(pipe, os.O_WRONLY))
            self.assertEqual(agent.process.wait(30), 0)
            asked.wait(30)


if __name__ == "__main__":
    unittest.main()
