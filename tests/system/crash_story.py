"""The story of a rollover, step by step, and how one of its two daemons dies in each: killed by
SIGKILL at every durable system call of its own. Nothing is lost, nothing is issued twice."""

import base64
import os
import pathlib
import subprocess
import sys
import time
import unittest

from crash_site import ACTIVE, CA_DAYS, CERTIFICATE_DAYS, IDLE, OVERLAP_DAYS, POLLING, RETIRED, \
    ROLLOVER, Site, dates
from umbra_lab import Lab, wait_for

BUILD = pathlib.Path(os.environ.get("UMBRA_BUILD", "build/release"))

# Where the victim dies: before each call by which it makes something last or tells it to a peer,
# which on the disk is after the one before; when it has told a peer; and, every so many writes, in
# the middle of what it writes, lingering over it, so that an answer that does not wait gets out.
DURABLE = "fsync,fdatasync,rename,send"
DEATHS = (("before", DURABLE, 0, 1), ("after", "send", 0, 1), ("before", "write,pwrite", 50, 5))

RENEWAL_DAY = CERTIFICATE_DAYS * 80 // 100
# The renewed certificate ends with its CA; 80 % of its life is SHADOW.
SHADOW_DAY = RENEWAL_DAY + (CA_DAYS - RENEWAL_DAY) * 80 // 100


class Step:
    """One step of the story: its day and hour, what begins it, and what must be there afterwards."""

    def __init__(self, name, day, certificates, generations, done=None, command=None, hour=0,
                 later=1, phase=IDLE):
        self.name, self.day, self.hour, self.command = name, day, hour, command
        self.later = later  # so many hours after a death, what has failed has been tried again
        self.phase = phase  # of the spoke
        self.certificates = certificates  # how many there are
        self.generations = generations  # of the CA: number -> status
        self.done = done  # is it, for the spoke with this row before and this one now? None: always


def renewed(before, now):
    return now["identity"] not in ("", before["identity"] if before else "")


ONE, BOTH = {1: ACTIVE}, {1: ACTIVE, 2: ROLLOVER}
FIRST_START = Step("first start", 0, 1, ONE)
ENROLMENT = Step("enrolment", 0, 2, ONE, renewed)
RENEWAL = Step("renewal", RENEWAL_DAY, 3, ONE, renewed)
SHADOW_CA = Step("shadow CA", CA_DAYS - OVERLAP_DAYS, 4, BOTH)
SHADOW_CA_BY_HAND = Step("shadow CA by hand", RENEWAL_DAY + 1, 4, BOTH,
                         command="crypto pki server ROOTCA rollover")
SHADOW_CERTIFICATE = Step("shadow certificate", SHADOW_DAY, 5, BOTH,
                          lambda before, now: now["rollover_identity"] != "")
SWITCH_OVER = Step("switch-over", CA_DAYS, 5, {1: RETIRED, 2: ACTIVE},
                   lambda before, now: now["identity"] == before["rollover_identity"])
STORY = [FIRST_START, ENROLMENT, RENEWAL, SHADOW_CA, SHADOW_CERTIFICATE, SWITCH_OVER]
# Where a person grants: the spoke is told to wait, asks again, and again until it is granted.
PENDING = Step("pending", 0, 1, ONE, lambda before, now: now["last_status"] == "Pending",
               phase=POLLING)
POLL = Step("poll in vain", 0, 1, ONE, lambda before, now: now["tries"] > before["tries"], hour=1,
            later=3, phase=POLLING)
GRANTED = Step("poll that is granted", 0, 2, ONE, renewed, hour=20, later=20,
               command="crypto pki server ROOTCA grant all")
WAITING_STORY = [FIRST_START, PENDING, POLL, GRANTED]


class CrashTest(unittest.TestCase):
    victim = None  # "ca" or "spoke"
    story, ca_lines = STORY, ()

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(BUILD)
        cls.enterClassContext(cls.lab)
        cls.site = Site(cls.lab, (BUILD / "tests" / "kill_at.so").resolve(), cls.ca_lines)
        cls.site.save(FIRST_START.name)
        for step, following in zip(cls.story, [*cls.story[1:], None]):
            cls.site.day, cls.site.hour = step.day, step.hour
            before = cls.site.books(cls.site.spoke).spoke() if cls.site.spoke else None
            cls.site.start(cls.site.ca)
            if step is FIRST_START:
                cls.site.add_spoke()
            cls.finish(step, before)
            for daemon in reversed(cls.site.daemons()):
                cls.site.stop(daemon)
            if following:
                cls.site.save(following.name)
            if step is RENEWAL:
                cls.site.save(SHADOW_CA_BY_HAND.name)

    @classmethod
    def finish(cls, step, before, switch=None):
        """With the server running: what is left of the step. False if a process died of it."""
        site = cls.site
        if step.command and not cls.command(step):
            return False
        if not step.done:
            return True
        if not site.start(site.spoke, switch):
            return False

        def over():
            if any(site.dead(daemon) for daemon in (site.ca, site.spoke)):
                return "dead"
            row = site.spoke_row()
            return row and row["phase"] == step.phase and step.done(before, row) and \
                (site.published() or "") == row["identity"] and site.has_written() and "done"

        return wait_for(f"{step.name}; the spoke's log:\n{site.spoke.log()}", over,
                        every=0.005) == "done"

    @classmethod
    def command(cls, step):
        """The operator's command; whoever asks meanwhile for the next CA gets what is kept."""
        site = cls.site
        console = cls.lab.spawn(site.lab.build / "umbra", "exec", step.command, "--socket",
                                site.ca.data / "umbra.sock", stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        while console.poll() is None:
            if answer := site.ask("GetNextCACert"):
                site.told.append(answer)
            time.sleep(0.05)  # each answer is one more call to die at
        return not site.dead(site.ca)

    def run_step(self, step, victim, switch):
        """The step from its snapshot, with a death of the victim in it; False if there was none."""
        site = self.site
        site.kill_all()
        site.restore(step.name)
        site.day, site.hour = step.day, step.hour
        site.told = []
        at_first = {daemon: site.books(daemon) for daemon in site.daemons()}
        before = at_first[site.spoke].spoke()
        server_switch = switch if victim is site.ca else None
        client_switch = switch if victim is site.spoke else None

        handed_out = None
        alive = site.start(site.ca, server_switch)
        if alive:
            handed_out = site.ask("GetCACert")
            alive = not site.dead(site.ca) and self.finish(step, before, client_switch)
        if alive and step.done:
            alive = site.stop(site.spoke)
        if alive:
            alive = site.stop(site.ca)
        at_death, archived = None, {}
        if not alive:
            # The other one, whose conversation was cut off, does not outlive it: on a clock that
            # stands still it would never try again.
            site.kill_all()
            at_death = {daemon: site.books(daemon) for daemon in site.daemons()}
            self.check_hands(at_death)
            site.check_pem(self)
            archived = {} if step.done else site.archived()
            site.hour += step.later
            site.start(site.ca)
            self.assertTrue(self.finish(step, before))
            self.assertIn(handed_out, (None, site.ask("GetCACert")), "the CA is what it was")
            for daemon in reversed(site.daemons()):
                site.stop(daemon)
        self.check(step, at_first, at_death, archived)
        return not alive

    def check_hands(self, books):
        """What the client holds, the server knows."""
        server, spoke = books[self.site.ca], books[self.site.spoke].spoke()
        if spoke:
            for held in ("identity", "rollover_identity", "ca_certificate",
                         "rollover_ca_certificate"):
                self.assertIn(spoke[held], {"", *server.issued()}, held)
        self.assertIn(self.site.published(), {None, *server.issued()}, "cert.pem")

    def check(self, step, at_first, at_death, archived):
        site = self.site
        books = {daemon: site.books(daemon) for daemon in site.daemons()}
        self.check_hands(books)
        site.check_pem(self)
        self.assertEqual(site.left_over(), [], "what a death has left goes with the next writing")
        server = books[site.ca]
        earlier = [at_first[site.ca], at_death[site.ca]] if at_death else [at_first[site.ca]]
        self.assertTrue(server.intact())
        self.check_certificates(step, server, earlier, archived)
        self.check_generations(step, server, earlier)
        if step.done:
            self.check_spoke(step, books, at_death)

    def check_certificates(self, step, server, earlier, archived):
        serials = {int(row["serial"], 16): row["certificate"] for row in server.certificate}
        self.assertEqual(len(serials), len(server.certificate), "a serial is used once")
        self.assertEqual(len(serials), step.certificates, "no more were issued than asked for")
        for serial, text in archived.items():
            self.assertIn(serials.get(serial), (None, text), "an archive's serial is used up")
        asked = [(row["transaction_id"], row["request_digest"]) for row in server.certificate
                 if row["transaction_id"]]
        self.assertEqual(len(asked), len(set(asked)))
        for books in earlier:
            for text, row in books.issued().items():
                self.assertEqual(server.issued().get(text), row, "a certificate stays as it was")
        counters, = server.server
        self.assertGreaterEqual(counters["last_serial"], max(serials))

    def check_generations(self, step, server, earlier):
        site = self.site
        of_number = {row["number"]: (row["certificate"], row["sealed_key"])
                     for row in server.generation}
        for books in earlier:
            for row in books.generation:
                self.assertEqual(of_number.get(row["number"]),
                                 (row["certificate"], row["sealed_key"]), "a CA stays as it was")
        for row in server.generation:
            self.assertIn(row["certificate"], server.issued())
            suffix = "" if row["number"] == 1 else f"_{row['number'] - 1:05}"
            site.check_archive(self, f"ROOTCA{suffix}.p12", row)
        status = {row["number"]: row["status"] for row in server.generation}
        self.assertEqual(status, step.generations)
        if ROLLOVER in status.values():
            shadow, = server.generations(ROLLOVER)
            active, = server.generations(ACTIVE)
            self.assertEqual(dates(shadow["certificate"])[0], dates(active["certificate"])[1])
            for answer in site.told:
                self.assertIn(base64.b64decode(shadow["certificate"]), answer)

    def check_spoke(self, step, books, at_death):
        """The request that was under way is the one that was answered, with its key."""
        site = self.site
        spoke = books[site.spoke].spoke()
        begun = at_death[site.spoke].spoke() if at_death else None
        if step.phase == POLLING:
            waiting, = books[site.ca].request
            self.assertEqual(waiting["transaction_id"], spoke["transaction_id"], "it is one request")
            if begun and begun["request"]:
                self.assertEqual(spoke["request"], begun["request"])
                self.assertEqual(spoke["sealed_key"], begun["sealed_key"])
            return
        self.assertEqual(spoke["request"], "")
        if not begun or not begun["request"]:
            return
        issued = books[site.ca].issued()
        newest = issued[spoke["rollover_identity"] or spoke["identity"]]
        self.assertEqual(newest["transaction_id"], begun["transaction_id"])
        self.assertIn(begun["sealed_shadow_key"] or begun["sealed_key"],
                      (spoke["sealed_key"], spoke["sealed_shadow_key"]))
        answered_before = [row for row in at_death[site.ca].certificate
                           if row["transaction_id"] == begun["transaction_id"]]
        self.assertIn(answered_before, ([], [newest]), "what was stored is what was answered")

    def kill_in(self, step, deaths=DEATHS):
        victim = getattr(self.site, self.victim)
        died = 0
        for when, calls, linger, stride in deaths:
            with self.subTest(step=step.name, where=f"{when} {calls}"):
                number = 1
                while self.run_step(step, victim, (number, when, calls, linger)):
                    number += stride
                    died += 1
                self.assertGreater(number, 1, "it never died")
        print(f"{self.victim}: died {died} times in {step.name}", file=sys.stderr)
