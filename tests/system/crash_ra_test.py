#!/usr/bin/env python3
"""A registration authority is killed at every durable system call, and before and after every octet it
sends, of one enrolment through it: the device asks again, and the CA has issued one certificate."""

import contextlib
import pathlib
import sqlite3
import subprocess
import sys
import unittest

from peers import ScepClient, chains, read_certificate
from ra_test import BUILD, RaSite
from umbra_lab import wait_for

DURABLE = "fsync,fdatasync,rename,send"


class CrashRaTest(RaSite):
    def start(self, number, when):
        """With a death at that call. False if it died before it had started."""
        self.ra.environment = {
            "LD_PRELOAD": str((pathlib.Path(BUILD) / "tests" / "kill_at.so").resolve()),
            "UMBRA_KILL_AT": str(number), "UMBRA_KILL_WHEN": when, "UMBRA_KILL_CALL": DURABLE}
        at = len(self.ra.log())
        self.ra.start(wait=False)
        wait_for("the RA to start", lambda: self.dead() or "%UMBRA-5-STARTED" in self.ra.log(at),
                 every=0.01)
        return not self.dead()

    def dead(self):
        return self.ra.process.poll() is not None

    def issued(self, name):
        with contextlib.closing(sqlite3.connect(self.lab.path("ca") / "umbra.db")) as books:
            return books.execute("SELECT count(*) FROM certificate WHERE subject LIKE ?",
                                 (f"%cn={name},%",)).fetchone()[0]

    def test_dies_at_every_call_of_an_enrolment(self):
        self.serve(["grant ra-auto", "allow legacy des"], ["grant auto", "allow legacy des"])
        peer = ScepClient(self.lab, self.port)
        peer.envelop_for_the_exchange_certificate()
        options = peer.options
        for when in ("before", "after"):
            number = 0
            died = True
            while died:
                number += 1
                self.ra.stop()
                peer = ScepClient(self.lab, self.port, name=f"{when}-{number}")
                peer.options = options
                if self.start(number, when):
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        peer.scep(ok=False, timeout=5)
                # It may be dying of its last word.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.ra.process.wait(0.5)
                died = self.dead()
                if died:
                    self.ra.environment = {}
                    self.ra.start()
                if not peer.path("cert.pem").exists():
                    peer.scep()
                with self.subTest(when=when, number=number):
                    self.assertTrue(chains(self.lab, self.ca_port,
                                           read_certificate(peer.path("cert.pem"))))
                    self.assertEqual(self.issued(peer.name), 1)
            self.assertGreater(number, 5, "it never died")
            print(f"RA: died {number - 1} times, {when}", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
