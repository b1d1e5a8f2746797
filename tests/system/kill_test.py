"""kill -9 of a certificate server at random instants: while devices enrol, renew and fetch, while it
starts, makes its next CA and switches over. What anybody was ever given is in its store, and all of
it holds together.

UMBRA_KILLS=N is how many deaths there are; UMBRA_SEED=N repeats the instants of a run."""

import base64
import collections
import datetime
import os
import pathlib
import random
import re
import sys
import time
import unittest

from crash_site import ACTIVE, RETIRED, ROLLOVER, Books
from umbra_lab import Lab, free_port, run, server_text, wait_for

BUILD = pathlib.Path(os.environ.get("UMBRA_BUILD", "build/release"))
KILLS = int(os.environ.get("UMBRA_KILLS", "500"))
SEED = int(os.environ.get("UMBRA_SEED", random.SystemRandom().randrange(1 << 32)))

# A CA lives ten days, of which four are its overlap. Time passes while a process lives, a day in 40
# seconds, and by leaps between one and the next, so that no machine is too slow for its CA to last.
SPEED = 2160
LEAP_DAYS = (0, 0, 0.1, 0.2, 0.8)
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


class KillTest(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(BUILD, keep="UMBRA_KEEP" in os.environ))
        self.port = free_port()
        self.now = START
        self.daemon = self.lab.daemon("ca", server_text(self.port, lines=[
            "lifetime ca-certificate 10", "lifetime certificate 3", "auto-rollover 4",
            "lifetime crl 24", "database level minimum"]), start=False)
        self.begun = None
        self.at = 0  # where the process's own lines begin in the log
        self.record = self.lab.path("record")
        self.revoked = []  # serial numbers whose revocation was confirmed
        self.deaths = collections.Counter()

    def start(self, leap_days=0, wait=True):
        """Later than the process before could see."""
        if self.begun:
            self.now += SPEED * datetime.timedelta(seconds=time.time() - self.begun)
        self.now += datetime.timedelta(days=leap_days)
        self.begun = int(time.time())
        self.at = self.daemon.log_path.stat().st_size if self.daemon.log_path.exists() else 0
        self.daemon.options = ("--time-lapse", f"{self.now:%Y-%m-%dT%H:%M:%SZ}@{SPEED}@{self.begun}")
        self.daemon.start(wait)

    def started(self):
        return self.daemon.process.poll() is not None or \
            "%UMBRA-5-STARTED" in self.daemon.log(self.at)

    def lines(self, kind):
        """What the devices wrote down, in its order, but for a last line that is not whole."""
        whole = self.record.read_text().rpartition("\n")[0].splitlines()
        return [line.split()[1:] for line in whole if line.startswith(kind + " ")]

    # While it dies and comes back.

    def live(self, chance):
        """A third of its lives end while it starts, or soon after; the others among the devices."""
        if chance.random() < 1 / 3:
            time.sleep(chance.uniform(0, self.start_seconds))
        else:
            wait_for("its start", self.started, 120, every=0.002)
            time.sleep(chance.uniform(0, 0.4 if chance.random() < 0.1 else 0.08))

    def look_at_the_dead(self, number):
        rows = Books(self.daemon.data, self.lab.path("books")).generation \
            if (self.daemon.data / "umbra.db").exists() else []
        status = collections.Counter(row["status"] for row in rows)
        self.assertLessEqual(status[ACTIVE], 1)
        self.assertLessEqual(status[ROLLOVER], 1)
        self.assertEqual(sorted(row["number"] for row in rows), list(range(1, len(rows) + 1)))
        self.deaths["with a next CA" if status[ROLLOVER] else "with one CA"] += 1
        if number % 50 == 0 and rows:
            self.verify()

    def verify(self):
        done = run(BUILD / "umbra", "verify", "--data", self.daemon.data, ok=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def revoke_one(self, chance):
        given = self.lines("GIVEN")
        if not given:
            return
        _, _, der = chance.choice(given[-20:])
        text = run("openssl", "x509", "-inform", "der", "-noout", "-serial", "-enddate",
                   text_in=bytes.fromhex(der))
        serial = re.search(rb"serial=(\w+)", text).group(1).decode()
        done = self.daemon.exec(f"crypto pki server ROOTCA revoke 0x{serial}", ok=False)
        if done.returncode == 0:
            self.revoked.append(int(serial, 16))

    def test_at_random_instants(self):
        print(f"UMBRA_SEED={SEED} UMBRA_KILLS={KILLS}", file=sys.stderr)
        chance = random.Random(SEED)
        begun = time.monotonic()
        self.start()
        fleet = self.lab.spawn(BUILD / "tests" / "fleet", "--port", self.port, "--devices", "3",
                               "--record", self.record, "--seed", SEED % 1000000)
        self.measure()
        wait_for("the first certificate", lambda: self.record.exists() and self.lines("GIVEN"))
        for number in range(1, KILLS + 1):
            if number % 25 == 0:
                wait_for("its start", self.started, 120)
                self.revoke_one(chance)
            self.live(chance)
            self.assertIsNone(self.daemon.process.poll(), self.daemon.log()[-3000:])
            self.assertIsNone(fleet.poll())
            self.daemon.kill()
            self.look_at_the_dead(number)
            self.start(chance.choice(LEAP_DAYS), wait=False)
        wait_for("the last start", self.started, 120)
        answered = len(self.lines("GIVEN"))
        wait_for("devices that go on", lambda: len(self.lines("GIVEN")) > answered + 10)
        self.last_crl()
        fleet.terminate()
        self.assertEqual(fleet.wait(60), 0)
        self.assertEqual(self.daemon.stop(), 0)
        self.check(time.monotonic() - begun)

    def measure(self):
        """How long this machine takes for a start."""
        self.daemon.kill()
        begun = time.monotonic()
        self.start(wait=False)
        wait_for("its start", self.started, 120, every=0.002)
        self.start_seconds = time.monotonic() - begun

    def last_crl(self):
        """A CRL that was fetched after the last death."""
        seen = len(self.lines("CRL"))
        wait_for("a CRL", lambda: len(self.lines("CRL")) > seen)

    # Afterwards.

    def check(self, seconds):
        said = self.verify()
        audited = run(BUILD / "umbra", "audit", "verify", "--data", self.daemon.data, ok=False)
        self.assertEqual(audited.returncode, 0, audited.stdout + audited.stderr)
        books = Books(self.daemon.data, self.lab.path("books"))
        self.assertTrue(books.intact())
        stored = {base64.b64decode(text): row for text, row in books.issued().items()}
        self.check_given(stored)
        self.check_generations(books, stored)
        self.check_crls(books, stored)
        starts = self.daemon.log().count("%UMBRA-5-STARTED")
        print(f"{KILLS} deaths in {seconds:.0f} s (a start takes {self.start_seconds * 1000:.0f} ms), "
              f"{KILLS + 3 - starts} of them before it had started, "
              f"{self.deaths['with a next CA']} with a next CA; {len(books.generation)} generations, "
              f"{len(stored)} certificates, {len(self.lines('GIVEN'))} answers, "
              f"{len(self.lines('REFUSED'))} refusals, {len(self.revoked)} revocations\n{said}",
              file=sys.stderr)

    def check_given(self, stored):
        of_transaction = collections.defaultdict(set)
        for _, transaction, der in self.lines("GIVEN"):
            self.assertIn(bytes.fromhex(der), stored, "what a device has, the store has")
            of_transaction[transaction].add(der)
        self.assertGreater(len(of_transaction), KILLS // 5)
        for transaction, certificates in of_transaction.items():
            self.assertEqual(len(certificates), 1, transaction)
        requests = [(row["transaction_id"], row["request_digest"]) for row in stored.values()
                    if row["transaction_id"]]
        self.assertEqual(len(requests), len(set(requests)), "one certificate for a request")
        self.assertEqual(len({int(row["serial"], 16) for row in stored.values()}), len(stored))

    def check_generations(self, books, stored):
        status = [row["status"] for row in sorted(books.generation, key=lambda row: row["number"])]
        self.assertEqual(status[:status.index(ACTIVE)], [RETIRED] * status.index(ACTIVE))
        self.assertIn(status[status.index(ACTIVE) + 1:], ([], [ROLLOVER]))
        self.assertGreater(len(status), KILLS // 100)
        number = {base64.b64decode(row["certificate"]): row["number"] for row in books.generation}
        made = [row for row in stored.values() if not row["transaction_id"]]
        self.assertEqual(len(made), len(number), "no CA was made twice")
        for kind in ("CA", "NEXT"):
            latest = collections.Counter()
            for device, der in self.lines(kind):
                self.assertIn(bytes.fromhex(der), number, f"a CA that was told of: {kind}")
                self.assertGreaterEqual(number[bytes.fromhex(der)], latest[device], "no way back")
                latest[device] = number[bytes.fromhex(der)]
        self.assertTrue(self.lines("NEXT"))

    def check_crls(self, books, stored):
        own = books.issued()
        authorities = {row["number"]: f"{int(own[row['certificate']]['serial'], 16):X}"
                       for row in books.generation}
        rows = {int(row["serial"], 16): row for row in stored.values()}
        for serial in self.revoked:
            self.assertGreater(rows[serial]["revoked_at"], 0, "a revocation that was confirmed")
        newest = {}
        kept = collections.defaultdict(set)
        for device, authority, number, this_update, *serials in self.lines("CRL"):
            key = device, authority
            number, this_update = int(number), int(this_update)
            on_it = {int(serial, 16) for serial in serials}
            self.assertGreaterEqual(number, newest.get(key, 0), "CRL numbers never go back")
            newest[key] = number
            confirmed = {serial for serial in self.revoked
                         if rows[serial]["revoked_at"] <= this_update and
                         authorities[rows[serial]["generation"]] == authority}
            for serial in kept[key] | confirmed:
                if rows[serial]["not_after"] > this_update:
                    self.assertIn(serial, on_it, "a revoked certificate stays on its CRL")
            kept[key] |= on_it
        self.assertTrue(newest)
        self.assertTrue(self.revoked)


if __name__ == "__main__":
    unittest.main()
