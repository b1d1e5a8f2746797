"""A certificate server and a spoke whose clock stands still, to be killed at any system call of
theirs and looked at: what their databases, archives and PEM files say of each other."""

import base64
import contextlib
import datetime
import functools
import http.client
import re
import shutil
import sqlite3
import urllib.request

from umbra_lab import LabError, ca_der, fingerprint, free_port, run, run_bytes, server_text, \
    wait_for

DAY_0 = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
STANDS_STILL = "@1@4000000000"  # the clock begins to run in the year 2096
CA_DAYS, CERTIFICATE_DAYS, OVERLAP_DAYS = 365, 300, 90
ARCHIVE_PASSWORD = "cisco123"  # what the guide's type 7 password hides
ACTIVE, ROLLOVER, RETIRED = 2, 1, 3
IDLE, POLLING = 0, 4
TABLES = ("server", "generation", "certificate", "request", "trustpoint")


def open_rows(path, query):
    """Rows of a database that its daemon may have open, as dictionaries; none if it has no such
    table yet. Read-only: closing it must not tidy up what a killed process left."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query)]
    except sqlite3.OperationalError:
        return []


class Books:
    """All a daemon's database holds, read from a copy, so that recovery is left to the daemon."""

    def __init__(self, data, scratch):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for path in data.glob("umbra.db*"):
            if not path.name.endswith("-shm"):  # an index, made anew
                shutil.copy(path, scratch)
        self.path = scratch / "umbra.db"
        for table in TABLES:
            rows = open_rows(self.path, f"SELECT * FROM {table}") if self.path.exists() else []
            setattr(self, table, rows)

    def intact(self):
        found = open_rows(self.path, "PRAGMA integrity_check")
        return [list(row.values()) for row in found] == [["ok"]]

    def generations(self, status):
        return [row for row in self.generation if row["status"] == status]

    def issued(self):
        """All certificates, CAs' too, by their text."""
        return {row["certificate"]: row for row in self.certificate}

    def spoke(self):
        return self.trustpoint[0] if self.trustpoint else None


def ask(url, message=None):
    """The server's answer; None if it does not live to give a good one."""
    try:
        with urllib.request.urlopen(url, message, timeout=60) as answer:
            return answer.read()
    except (OSError, http.client.HTTPException):
        return None


def pem_bodies(text, kind="CERTIFICATE"):
    """The base64 of the blocks of a PEM text, in one line each, as the databases hold it."""
    found = re.findall(f"-----BEGIN {kind}-----(.*?)-----END {kind}-----", text, re.DOTALL)
    return ["".join(body.split()) for body in found]


@functools.cache
def dates(certificate):
    """(notBefore, notAfter) of base64 DER, by openssl."""
    text = run_bytes("openssl", "x509", "-inform", "der", "-noout", "-startdate", "-enddate",
                     data=base64.b64decode(certificate)).decode()
    return tuple(datetime.datetime.strptime(line.split("=", 1)[1], "%b %d %H:%M:%S %Y GMT").replace(
        tzinfo=datetime.timezone.utc) for line in text.splitlines())


class Site:
    def __init__(self, lab, kill_at, ca_lines=()):
        self.lab, self.kill_at, self.port = lab, kill_at, free_port()
        self.day = self.hour = 0
        self.told = []  # answers to GetNextCACert
        self.pem = lab.path("pem")
        self.ca = lab.daemon("ca", server_text(self.port, lines=[
            f"lifetime ca-certificate {CA_DAYS}", f"lifetime certificate {CERTIFICATE_DAYS}",
            f"auto-rollover {OVERLAP_DAYS}", *ca_lines]), start=False)
        self.spoke = None
        self.verified = set()  # what openssl has looked at before

    def add_spoke(self):
        """The spoke's configuration pins the CA, so it is written when there is one."""
        self.spoke = self.lab.daemon("spoke", f"""hostname spoke-1
clock calendar-valid
crypto pki trustpoint Root-CA
 enrollment url http://127.0.0.1:{self.port}
 enrollment spread 0
 subject-name CN=spoke-1.cisco.com,OU=CVO
 revocation-check none
 rsakeypair spoke-1-RSA 2048
 auto-enroll 80 regenerate
 fingerprint {fingerprint(ca_der(self.port))}
 storage pem {self.pem}
""", start=False)

    def daemons(self):
        return [daemon for daemon in (self.ca, self.spoke) if daemon]

    def now(self):
        return DAY_0 + datetime.timedelta(days=self.day, hours=self.hour)

    # Snapshots: everything both processes keep.

    def save(self, name):
        store = self.lab.path(f"snapshot-{name}")
        for directory in (self.ca.data, self.lab.path("spoke"), self.pem):
            if directory.exists():
                shutil.copytree(directory, store / directory.name, symlinks=True,
                                ignore=shutil.ignore_patterns("*.sock"))
        store.mkdir(exist_ok=True)

    def restore(self, name):
        store = self.lab.path(f"snapshot-{name}")
        for directory in (self.ca.data, self.lab.path("spoke"), self.pem):
            shutil.rmtree(directory, ignore_errors=True)
            if (store / directory.name).exists():
                shutil.copytree(store / directory.name, directory, symlinks=True)

    def books(self, daemon):
        return Books(daemon.data, self.lab.path(f"books-{daemon.name}"))

    # Processes.

    def start(self, daemon, switch=None):
        """Starts it at the site's instant; with `switch` = (N, before or after, calls, linger) it
        dies at that call of its own (kill_at.c). False if it died before it had started."""
        daemon.options = ("--time-lapse", f"{self.now():%Y-%m-%dT%H:%M:%SZ}{STANDS_STILL}")
        daemon.environment = {}
        if switch:
            number, when, calls, linger = switch
            daemon.environment = {"LD_PRELOAD": str(self.kill_at), "UMBRA_KILL_AT": str(number),
                                  "UMBRA_KILL_WHEN": when, "UMBRA_KILL_CALL": calls,
                                  "UMBRA_KILL_LINGER": str(linger)}
        daemon.log_path.unlink(missing_ok=True)
        daemon.start(wait=False)
        wait_for(f"{daemon.name} to start", lambda: self.dead(daemon) or
                 "%UMBRA-5-STARTED" in daemon.log(), every=0.005)
        return not self.dead(daemon)

    @staticmethod
    def dead(daemon):
        """True once the switch has killed it. Nothing else may end it."""
        status = daemon.process.poll()
        if status not in (None, -9):
            raise LabError(f"{daemon.name} ended with {status}:\n{daemon.log()}")
        return status == -9

    def kill_all(self):
        for daemon in self.daemons():
            if daemon.process:
                daemon.kill()
                daemon.process = None

    def stop(self, daemon):
        """In order; False if it died on the way."""
        if daemon.process is None:
            return True
        status = daemon.stop()
        if status not in (0, -9):
            raise LabError(f"{daemon.name} ended with {status}:\n{daemon.log()}")
        return status == 0

    def spoke_row(self):
        rows = open_rows(self.spoke.data / "umbra.db", "SELECT * FROM trustpoint")
        return rows[0] if rows else None

    def published(self):
        """The spoke's cert.pem, as its database has it; None if there is none."""
        path = self.pem / "cert.pem"
        return pem_bodies(path.read_text())[0] if path.exists() else None

    def ask(self, operation):
        return ask(f"http://127.0.0.1:{self.port}/cgi-bin/pkiclient.exe?operation={operation}")

    def has_written(self):
        """Files are written by threads of their own, and may be on their way after the row is there;
        what a death has left goes then."""
        try:
            return not self.left_over()
        except FileNotFoundError:  # gone while it was looked at
            return False

    def left_over(self):
        """Files and links that were on their way to their places, and generations that are none."""
        places = [self.pem, *(daemon.data for daemon in self.daemons())]
        found = [path for place in places for path in place.rglob("*")
                 if re.search(r"(\.umbra|^\.\.link)-[0-9a-f]{16}$", path.name)]
        current = self.pem / "..data"
        return found + [path for path in self.pem.glob("..set-*")
                        if not current.is_symlink() or path.name != current.readlink().name]

    # What openssl says of files.

    def check_pem(self, test):
        """cert.pem, key.pem and ca.pem belong together, whichever of them are there."""
        texts = {name: (self.pem / name).read_text() for name in ("ca.pem", "cert.pem", "key.pem")
                 if (self.pem / name).exists()}
        seen = tuple(sorted(texts.items()))
        if seen in self.verified:
            return
        if "cert.pem" in texts:
            public = run("openssl", "x509", "-in", self.pem / "cert.pem", "-noout", "-pubkey")
            if "key.pem" in texts:
                test.assertEqual(run("openssl", "pkey", "-in", self.pem / "key.pem", "-pubout"),
                                 public, "key.pem is cert.pem's")
            if "ca.pem" in texts:
                begin, _ = dates(pem_bodies(texts["cert.pem"])[0])
                run("openssl", "verify", "-attime", int(begin.timestamp()), "-CAfile",
                    self.pem / "ca.pem", self.pem / "cert.pem")
        self.verified.add(seen)

    def opened_archive(self, path):
        return run("openssl", "pkcs12", "-in", path, "-nodes", "-passin",
                   f"pass:{ARCHIVE_PASSWORD}")

    def archived(self):
        """Serial and certificate of every archive, whose CA may not have come to be."""
        found = {}
        for path in (self.ca.data / "nvram").glob("*.p12"):
            text = self.opened_archive(path)
            serial = run("openssl", "x509", "-noout", "-serial", text_in=text).split("=")[1]
            found[int(serial, 16)] = pem_bodies(text)[0]
        return found

    def check_archive(self, test, name, generation):
        """The archive opens with the configured password, and holds that CA and its key."""
        path = self.ca.data / "nvram" / name
        seen = (path.read_bytes(), generation["certificate"])
        if seen in self.verified:
            return
        text = self.opened_archive(path)
        test.assertEqual(pem_bodies(text), [generation["certificate"]], name)
        test.assertEqual(run("openssl", "pkey", "-pubout", text_in=text),
                         run("openssl", "x509", "-noout", "-pubkey", text_in=text), name)
        self.verified.add(seen)
