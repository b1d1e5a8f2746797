#!/usr/bin/env python3
"""make demo: the guide's lab as a time-lapse, then third-party clients in real time.

Exit status 0 only if every step of the rollover happened on its day, every certificate verified,
and both third-party clients enrolled and renewed.
"""

import datetime
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
# pylint: disable=wrong-import-position
import peers  # noqa: E402
from umbra_lab import (Lab, LabError, ca_der, der_to_pem, fingerprint, free_port,  # noqa: E402
                       run, server_text, wait_for)

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
DAYS_A_SECOND = 10
DAY = datetime.timedelta(days=1)
# Real time both daemons have for their first keys, while the virtual clock stands at START.
HEAD_START_SECONDS = 8

CA_LIFE, LIFE, OVERLAP, PERCENT = 730, 365, 90, 80


class Event:
    """One line of the demo: what must happen, its predicted day, and the log line that shows it."""

    def __init__(self, what, day, source, pattern, formula):
        self.what, self.day, self.source, self.formula = what, day, source, formula
        self.pattern = re.compile(pattern)
        self.at = None


def predicted():
    """The guide's formulas from day 0 on; nothing here looks at what the daemons do."""
    renew = LIFE * PERCENT / 100
    second = renew + LIFE * PERCENT / 100
    # The third certificate would outlive the CA: it ends with it, and 80 % of that life is SHADOW.
    shadow = second + (CA_LIFE - second) * PERCENT / 100
    after = CA_LIFE + LIFE * PERCENT / 100
    return [
        Event("CA certificate made", 0, "ca", r"CS_ENABLED", "day 0"),
        Event("spoke enrolled", 0, "spoke", r"CERTRET", "day 0"),
        Event("RENEW", renew, "spoke", r"CERTRENEWAUTO", "0 + 80% x 365"),
        Event("  renewed", renew, "spoke", r"CERTRET", ""),
        Event("RENEW", second, "spoke", r"CERTRENEWAUTO", "292 + 80% x 365"),
        Event("  renewed, ends with its CA", second, "spoke", r"CERTRET", ""),
        Event("shadow CA made", CA_LIFE - OVERLAP, "ca", r"shadow generation timer fired", "730 - 90"),
        Event("SHADOW: next CA fetched", shadow, "spoke", r"SHADOW_CA", "584 + 80% x 146"),
        Event("  shadow certificate held", shadow, "spoke", r"SHADOW_CERT", ""),
        Event("server switches over", CA_LIFE, "ca", r"CS_SWITCHOVER", "730"),
        Event("spoke switches over", CA_LIFE, "spoke", r"SWITCH_OVER", "730"),
        Event("RENEW under the new CA", after, "spoke", r"CERTRENEWAUTO", "730 + 80% x 365"),
        Event("  renewed", after, "spoke", r"CERTRET", ""),
    ]


class LogReader:
    """Lines of a growing log with their virtual instant; a log line of IOS has no year."""

    LINE = re.compile(r"^([A-Z][a-z]{2}) +(\d+) (\d\d):(\d\d):(\d\d)\.(\d{3}): (.*)$")
    MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

    def __init__(self, path):
        self.path, self.offset, self.year, self.last = path, 0, START.year, START

    def lines(self):
        with open(self.path, encoding="utf-8", errors="replace") as log:
            log.seek(self.offset)
            text = log.read()
        text = text[:text.rfind("\n") + 1]
        self.offset += len(text.encode())
        for line in text.splitlines():
            match = self.LINE.match(line)
            if not match:
                continue
            month, day, hour, minute, second, milli, rest = match.groups()
            at = datetime.datetime(self.year, self.MONTHS.index(month) + 1, int(day), int(hour),
                                   int(minute), int(second), int(milli) * 1000, datetime.timezone.utc)
            # Threads may print a few milliseconds out of order; more than that back is a new year.
            if at < self.last - 2 * DAY:
                self.year += 1
                at = at.replace(year=self.year)
            self.last = max(self.last, at)
            yield at, rest


def days(at):
    return (at - START) / DAY


def date(day):
    return (START + day * DAY).strftime("%Y-%m-%d %H:%M")


def show(event):
    late = days(event.at) - event.day
    on_its_day = 0 <= late < 1
    print(f"  {event.at:%Y-%m-%d %H:%M}  day {days(event.at):7.2f}   {event.what:29}"
          f"predicted {date(event.day)}  {event.formula or '':16}"
          f"{'' if on_its_day else f'NOT ON ITS DAY ({late:+.2f} days)'}".rstrip(), flush=True)
    return on_its_day


def verify(lab, when, ca, certificate, good):
    """`openssl verify` at a virtual instant: the chain must hold, or must not."""
    instant = START + when * DAY
    done = run("openssl", "verify", "-attime", int(instant.timestamp()), "-CAfile", lab.path(ca),
               lab.path(certificate), ok=False)
    as_expected = (done.returncode == 0) == good
    verdict = "OK" if done.returncode == 0 else (
        re.search(r"error \d+ .*lookup: ?(.*)|error \d+.*", done.stderr + done.stdout) or [""])[0]
    print(f"  day {when:6.1f}   {certificate:16} under {ca:12} {verdict}"
          f"{'' if as_expected else '   UNEXPECTED'}", flush=True)
    return as_expected


def time_lapse(lab):
    port = free_port()
    anchor = time.time() + HEAD_START_SECONDS
    lapse = ("--time-lapse", f"{START:%Y-%m-%dT%H:%M:%SZ}@{DAYS_A_SECOND * 86400}@{anchor:.3f}",
             "--debug")
    print(f"A certificate server and a spoke, two processes, HTTP on 127.0.0.1:{port}, real keys;\n"
          f"their clock runs {DAYS_A_SECOND} days a second from {START:%Y-%m-%d}:\n")
    configuration = server_text(port, lines=["database url ftp://10.1.1.1/DB/ROOTCA/"])
    print("".join(f"    {line}\n" for line in configuration.splitlines()))
    ca = lab.daemon("ca", configuration, *lapse)
    first_ca = ca_der(port)
    lab.path("ca-1.pem").write_bytes(der_to_pem(first_ca))
    spoke_text = f"""hostname spoke-1
clock calendar-valid
crypto pki trustpoint Root-CA
 enrollment url http://127.0.0.1:{port}
 serial-number
 ip-address none
 password 0 Rev0cati0n$Passw0rd
 subject-name CN=spoke-1.cisco.com,OU=CVO
 revocation-check crl
 rsakeypair spoke-1-RSA
 auto-enroll 80
 fingerprint {fingerprint(first_ca)}
 storage pem {lab.path("pem")}
"""
    print("".join(f"    {line}\n" for line in spoke_text.splitlines()))
    spoke = lab.daemon("spoke", spoke_text, *lapse)
    print("  happened          virtual day                                           by the formulas")

    # The certificate just before and just after the switch is kept for openssl.
    published = lab.path("pem") / "cert.pem"
    waiting = predicted()
    readers = {"ca": LogReader(ca.log_path), "spoke": LogReader(spoke.log_path)}
    good = True
    end = anchor + (waiting[-1].day + 30) / DAYS_A_SECOND
    while waiting and time.time() < end:
        for source, reader in readers.items():
            for at, text in reader.lines():
                event = next((e for e in waiting if e.source == source), None)
                if event and event.pattern.search(text):
                    event.at = at
                    good = show(event) and good
                    waiting.remove(event)
                    if event.what == "  shadow certificate held":
                        lab.path("spoke-1.pem").write_bytes(published.read_bytes())
                    if event.what == "spoke switches over":
                        before = lab.path("spoke-1.pem").read_bytes()
                        wait_for("the new cert.pem", lambda: published.read_bytes() != before)
                        lab.path("spoke-2.pem").write_bytes(published.read_bytes())
        time.sleep(0.02)
    for event in waiting:
        print(f"  NEVER HAPPENED: {event.what}, predicted for day {event.day:.2f}")
    if waiting:
        return False
    lab.path("ca-2.pem").write_bytes((lab.path("pem") / "ca.pem").read_bytes())
    print("\nopenssl verify, at virtual instants before and after the switch on day 730:")
    good &= verify(lab, 729.9, "ca-1.pem", "spoke-1.pem", True)
    good &= verify(lab, 730.1, "ca-1.pem", "spoke-1.pem", False)
    good &= verify(lab, 729.9, "ca-2.pem", "spoke-2.pem", False)
    good &= verify(lab, 730.1, "ca-2.pem", "spoke-2.pem", True)
    print("\nspoke-1# show crypto pki timers\n" + spoke.exec("show crypto pki timers"))
    for daemon in (spoke, ca):
        good &= daemon.stop() == 0
    return good


def third_parties(lab):
    print("Real time, third-party clients, the same certificate server:\n")
    port = free_port()
    ca = lab.daemon("ca-now", server_text(port))
    good = True
    for name, client in (("strongSwan pki --scep", peers.StrongSwan),
                         ("certmonger", peers.Certmonger)):
        with client(lab, port) as peer:
            first = peer.enroll()
            renewed = peer.renew()
            fine = first.serial != renewed.serial and peers.chains(lab, port, renewed)
            print(f"  {name:22} enrolled: serial {first.serial}, until {first.not_after};"
                  f" renewed: serial {renewed.serial}{'' if fine else '  FAILED'}", flush=True)
            good &= fine
    print("\nlab-ca# show crypto pki server\n" + ca.exec("show crypto pki server"))
    return ca.stop() == 0 and good


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release")
    try:
        with Lab(build) as lab:
            good = time_lapse(lab)
            good = third_parties(lab) and good
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print("Every step happened on its day; every certificate verified." if good else
          "The demo FAILED: see the lines in capitals above.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
