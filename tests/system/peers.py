"""Third-party SCEP clients and servers of Debian 12, each in a directory of its own: strongSwan's
pki, certmonger's daemon on a message bus of its own, micromdm's scepclient and scepserver."""

import collections
import datetime
import os
import re
import subprocess

from umbra_lab import LabError, fetch, fingerprint, offered, run, run_bytes, wait_for

Certificate = collections.namedtuple("Certificate", "path serial subject issuer not_before not_after")


def read_certificate(path):
    text = run("openssl", "x509", "-in", path, "-noout", "-serial", "-subject", "-issuer",
               "-startdate", "-enddate")
    fields = dict(line.split("=", 1) for line in text.splitlines())

    def instant(name):
        return datetime.datetime.strptime(fields[name], "%b %d %H:%M:%S %Y GMT").replace(
            tzinfo=datetime.timezone.utc)

    return Certificate(path, fields["serial"], fields["subject"].strip(), fields["issuer"].strip(),
                       instant("notBefore"), instant("notAfter"))


def chains(lab, port, certificate):
    """openssl's word that the certificate chains to what the server hands out now."""
    ca = lab.path(f"ca-of-{port}.pem")
    ca.write_bytes(offered(port)[0])
    return run("openssl", "verify", "-CAfile", ca, certificate.path, ok=False).returncode == 0


class Peer:
    def __init__(self, lab, port, name="peer", url=None, challenge=None):
        self.lab, self.port, self.name, self.challenge = lab, port, name, challenge
        self.url = url or f"http://127.0.0.1:{port}/scep"
        self.directory = lab.path(f"{name}-{type(self).__name__.lower()}")
        self.directory.mkdir(exist_ok=True)
        self.generation = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def path(self, name):
        return self.directory / name

    def fetch_ca(self, name="ca.pem"):
        self.path(name).write_bytes(offered(self.port)[0])
        return self.path(name)

    def fetch_exchange(self, name="exchange.pem"):
        """The certificate that requests are enveloped for and that signs the answers."""
        self.path(name).write_bytes(offered(self.port)[1])
        return self.path(name)


class StrongSwan(Peer):
    """`pki --scep`: a new key each time; RenewalReq signed by the last certificate."""

    seconds_ahead = 0  # of the real clock: it checks validities

    def command(self, *words):
        ahead = ["faketime", "-f", f"+{self.seconds_ahead}s"] if self.seconds_ahead else []
        return [*ahead, *map(str, words)]

    def scep(self, *options, ok=True, timeout=90):
        """Gives the certificate, or with ok=False the finished process if there is none."""
        self.generation += 1
        key, certificate = self.path(f"key-{self.generation}.pem"), self.path(f"{self.generation}.pem")
        key.write_bytes(subprocess.run(
            ["pki", "--gen", "--type", "rsa", "--size", "2048", "--outform", "pem"],
            check=True, capture_output=True).stdout)
        ca, exchange = self.fetch_ca(), self.fetch_exchange()
        challenge = ["--password", self.challenge] if self.challenge else []
        done = subprocess.run(
            self.command("pki", "--scep", "--url", self.url, "--in", key, "--dn",
                         f"O=Cisco, CN={self.name}", "--cacert-enc", exchange, "--cacert-sig", exchange,
                         "--cacert", ca, "--outform", "pem", *challenge, *options),
            capture_output=True, timeout=timeout, check=False)
        if done.returncode != 0 or not done.stdout:
            self.generation -= 1
            if ok:
                raise LabError(f"pki --scep: {done.stderr.decode(errors='replace')}")
            return done
        certificate.write_bytes(done.stdout)
        return read_certificate(certificate)

    def enroll(self, *options, **how):
        return self.scep(*options, **how)

    def renew(self, *options, **how):
        old = self.generation
        return self.scep("--cert", self.path(f"{old}.pem"), "--key", self.path(f"key-{old}.pem"),
                         *options, **how)


class Certmonger(Peer):
    """certmonger's daemon, told by getcert; GET only, renews by a PKCSReq signed with the old one."""

    BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""

    def __enter__(self):
        socket = self.path("bus")
        self.path("bus.conf").write_text(self.BUS.format(socket=socket))
        self.environment = {**os.environ, "HOME": str(self.directory),
                            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={socket}",
                            "CERTMONGER_SYSTEM_LOCK_FILE": str(self.path("lock"))}
        # Else it would read and write the machine's own requests and CAs.
        for name in ("config", "requests", "cas", "local_ca", "tmp"):
            self.path(name).mkdir(exist_ok=True)
            variable = "CERTMONGER_TMPDIR" if name == "tmp" else f"CERTMONGER_{name.upper()}_DIR"
            self.environment[variable] = str(self.path(name))
        self.log = open(self.path("certmonger.log"), "wb")
        self.bus = self.lab.spawn("dbus-daemon", "--nofork", "--nopidfile", "--config-file",
                                  self.path("bus.conf"), stdout=self.log, stderr=self.log)
        wait_for("the message bus", socket.exists)
        self.start()
        return self

    def start(self):
        self.daemon = self.lab.spawn("certmonger", "-s", "-n", "-d", "3", env=self.environment,
                                     stdout=self.log, stderr=self.log)
        wait_for("certmonger on its bus",
                 lambda: self.getcert("list", ok=False).returncode == 0)

    def restart(self):
        self.daemon.terminate()
        self.daemon.wait(10)
        self.start()

    def __exit__(self, *error):
        for process in (self.daemon, self.bus):
            process.terminate()
            process.wait(10)
        self.log.close()

    def getcert(self, verb, *options, ok=True):
        return run("getcert", verb, "-s", *options, env=self.environment, ok=ok)

    def add_ca(self):
        ca, exchange = self.fetch_ca(), self.fetch_exchange()
        ra = ["-r", exchange] if exchange.read_bytes() != ca.read_bytes() else []
        self.getcert("add-scep-ca", "-c", "umbra", "-u", self.url, "-N", ca, "-R", ca, *ra)

    def status(self):
        found = re.search(r"status: (\S+)", self.getcert("list"))
        return found[1] if found else ""

    def wait_for_status(self, *wanted, seconds=60):
        try:
            return wait_for(f"certmonger to be in {wanted}",
                            lambda: self.status() if self.status() in wanted else None, seconds, 0.2)
        except LabError as error:
            raise LabError(f"{error}\n{self.getcert('list')}") from None

    def request(self, new_ca=True):
        if new_ca:
            self.add_ca()
        challenge = ["-L", self.challenge] if self.challenge else []
        self.getcert("request", "-c", "umbra", "-I", "lab", "-f", self.path("cert.pem"), "-k",
                     self.path("key.pem"), "-N", f"CN={self.name},O=Cisco", "-g", "2048", *challenge)

    def certificate(self):
        return read_certificate(self.path("cert.pem"))

    def enroll(self):
        self.request()
        self.wait_for_status("MONITORING")
        return self.certificate()

    def renew(self, *options, verb="resubmit"):
        before = self.certificate().serial
        self.getcert(verb, "-i", "lab", *options)
        wait_for("certmonger's renewal", lambda: self.path("cert.pem").exists() and
                 self.certificate().serial != before, 60, 0.2)
        self.wait_for_status("MONITORING")
        return self.certificate()


class ScepClient(Peer):
    """micromdm's scepclient 2.1.0: single DES and SHA-1 whatever the server offers."""

    options = ()

    def envelop_for_the_exchange_certificate(self):
        """Else it envelopes for all that GetCACert brought, and panics at an EC key."""
        der = run_bytes("openssl", "x509", "-in", self.fetch_exchange(), "-outform", "der", data=b"")
        self.options = ("-ca-fingerprint", fingerprint(der))

    def words(self, *options):
        challenge = ["-challenge", self.challenge] if self.challenge else []
        return ["scepclient", "-server-url", self.url, "-private-key", str(self.path("key.pem")),
                "-certificate", str(self.path("cert.pem")), "-cn", self.name, "-organization",
                "Cisco", "-keySize", "2048", *challenge, *self.options, *options]

    def scep(self, *options, ok=True, timeout=60):
        return run(*self.words(*options), cwd=self.directory, ok=ok, timeout=timeout)

    def forget(self):
        """Everything it has: the next enrolment is its first."""
        for path in self.directory.iterdir():
            path.unlink()

    def enroll(self):
        self.scep()
        return read_certificate(self.path("cert.pem"))

    def renew(self):
        # With a certificate beside the key it sends a RenewalReq.
        return self.enroll()


class ScepServer:
    """micromdm's scepserver with a CA of its own."""

    def __init__(self, lab, port, challenge=""):
        self.lab, self.port, self.challenge = lab, port, challenge
        self.depot = lab.path("depot")
        self.log = lab.path("scepserver.log")

    def __enter__(self):
        run("scepserver", "ca", "-init", "-depot", self.depot, "-organization", "Micro",
            "-key-password", "depot", "-keySize", "2048")
        with open(self.log, "wb") as log:
            self.process = self.lab.spawn(
                "scepserver", "-depot", self.depot, "-port", self.port, "-capass", "depot",
                "-allowrenew", "0", "-crtvalid", "365",
                *(["-challenge", self.challenge] if self.challenge else []), stdout=log, stderr=log)

        def answers():
            try:
                return self.ca()
            except OSError:
                return None

        wait_for("scepserver", answers)
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(10)

    def ca(self):
        return fetch(f"http://127.0.0.1:{self.port}/scep?operation=GetCACert")

    def fingerprint(self):
        return fingerprint(self.ca())
