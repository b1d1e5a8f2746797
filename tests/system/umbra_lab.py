"""What the demo and the system tests share: real umbrad processes on loopback, and what they say."""

import contextlib
import datetime
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request


class LabError(Exception):
    """A step of the lab went wrong; the text says which, and what was printed."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*command, timeout=60, env=None, cwd=None, ok=True, text_in=None):
    """The command's standard output; LabError with all it printed if it fails (and `ok` is set)."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, timeout=timeout, env=env, cwd=cwd,
        input=text_in, text=isinstance(text_in, str) or text_in is None, check=False)
    if ok and done.returncode != 0:
        raise LabError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n"
                       f"{done.stdout}{done.stderr}")
    return done.stdout if ok else done


def wait_for(what, condition, seconds=30, every=0.05):
    """Waits in real time for another process; gives the condition's first true value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise LabError(f"waited {seconds} seconds in vain for {what}")


def fetch(url, timeout=10):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read()


def der_to_pem(der):
    return run_bytes("openssl", "x509", "-inform", "der", data=der)


def run_bytes(*command, data):
    done = subprocess.run([str(word) for word in command], input=data, capture_output=True,
                          check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(map(str, command))}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def fingerprint(der):
    line = run_bytes("openssl", "x509", "-inform", "der", "-noout", "-fingerprint", "-sha256",
                     data=der).decode()
    return line.strip().split("=")[1].replace(":", "")


class Lab:
    """A directory and the processes started in it; leaving it ends those, by pid, and removes it."""

    def __init__(self, build, keep=False):
        self.build = pathlib.Path(build).resolve()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="umbra-lab-"))
        self.keep = keep
        self.daemons = []
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for daemon in self.daemons:
            with contextlib.suppress(LabError):
                daemon.stop()
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return self.directory / name

    def write(self, name, text):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def spawn(self, *command, **options):
        process = subprocess.Popen([str(word) for word in command], **options)
        self.processes.append(process)
        return process

    def daemon(self, name, configuration, *options, start=True, environment=None, prefix=()):
        daemon = Daemon(self, name, configuration, options, environment, prefix)
        self.daemons.append(daemon)
        if start:
            daemon.start()
        return daemon


class Daemon:
    """One umbrad with a configuration, a data directory and a log of its own."""

    def __init__(self, lab, name, configuration, options, environment=None, prefix=()):
        self.lab = lab
        self.name = name
        self.config = lab.write(f"{name}.conf", configuration)
        self.data = lab.path(name)
        self.log_path = lab.path(f"{name}.log")
        self.options = options
        self.environment = environment
        self.prefix = prefix  # a command that becomes the daemon
        self.process = None

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            at = log.tell()
            self.process = subprocess.Popen(
                [*self.prefix, self.lab.build / "umbrad", "--config", self.config, "--data", self.data,
                 *self.options],
                stderr=log, stdout=log, stdin=subprocess.DEVNULL,
                env={**os.environ, **(self.environment or {})})
        if wait:
            wait_for(f"{self.name} to start; its log:\n{self.log()[-2000:]}",
                     lambda: self._started(at), 60)
        return self

    def _started(self, at):
        if self.process.poll() is not None:
            raise LabError(f"{self.name} ended with {self.process.returncode}:\n{self.log(at)}")
        return "%UMBRA-5-STARTED" in self.log(at)

    def stop(self):
        """SIGTERM; its exit status."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise LabError(f"{self.name} did not stop within 30 seconds of SIGTERM") from None

    def kill(self):
        """SIGKILL: it has no chance to tidy up."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def exec(self, command, ok=True, text_in=""):
        return run(self.lab.build / "umbra", "exec", command, "--socket", self.data / "umbra.sock",
                   ok=ok, text_in=text_in)

    def log(self, start=0):
        if not self.log_path.exists():
            return ""
        with open(self.log_path, "rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")


def server_text(port, name="ROOTCA", lines=(), hostname="lab-ca"):
    """The guide's certificate server block, on loopback; `lines` take the place of its own ones, and
    "no grant" takes one away."""
    own = {
        "database": "database level complete",
        "archive": "database archive pkcs12 password 7 01100F175804575D72",
        "issuer-name": "issuer-name CN=RootCA,OU=TAC,O=Cisco",
        "grant": "grant auto",
        "lifetime": "lifetime certificate 365",
        "ca": "lifetime ca-certificate 730",
        "auto-rollover": "auto-rollover 90",
    }
    extra = []
    for line in lines:
        if line.startswith("lifetime ca-certificate"):
            own["ca"] = line
        elif line.startswith("no ") and line.split()[1] in own:
            own[line.split()[1]] = ""
        elif line.split()[0] in own:
            own[line.split()[0]] = line
        else:
            extra.append(line)
    block = "\n".join(f" {line}" for line in [*own.values(), *extra] if line)
    return (f"hostname {hostname}\nclock calendar-valid\nip http server\n"
            f"ip http address 127.0.0.1\nip http port {port}\n"
            f"crypto pki server {name}\n{block}\n no shutdown\n")


def standing_at(instant):
    """Options of umbrad for a clock that stands still at this time.time()."""
    start = datetime.datetime.fromtimestamp(int(instant), datetime.timezone.utc)
    return ("--time-lapse", f"{start:%Y-%m-%dT%H:%M:%SZ}@1@{int(time.time()) + 86400}")


def offered(port):
    """What GetCACert hands out, as PEM: the CA, and whom requests are enveloped for, which is the CA
    too unless it has an exchange certificate."""
    body = fetch(f"http://127.0.0.1:{port}/cgi-bin/pkiclient.exe?operation=GetCACert")
    end = b"-----END CERTIFICATE-----\n"
    try:
        pems = [der_to_pem(body)]
    except LabError:
        text = run_bytes("openssl", "pkcs7", "-inform", "der", "-print_certs", data=body)
        pems = [part[part.index(b"-----BEGIN"):] + end for part in text.split(end)[:-1]]
    authorities = [pem for pem in pems if b"CA:TRUE" in run_bytes(
        "openssl", "x509", "-noout", "-text", data=pem)]
    others = [pem for pem in pems if pem not in authorities]
    return authorities[0], (others or authorities)[0]


def ca_der(port):
    return run_bytes("openssl", "x509", "-outform", "der", data=offered(port)[0])
