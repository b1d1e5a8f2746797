"""Real file servers for certificate servers to publish to: vsftpd, OpenSSH, tftpd-hpa and nginx, each
a child process on loopback with a configuration, accounts and folders of its own."""

import os
import pathlib
import shutil
import socket

from umbra_lab import LabError, free_port, run, wait_for

USER, PASSWORD = "publisher", "correct-horse"
UID = 65500

# What a server sees of the machine: the accounts and the PAM service of the test, and nothing in
# /run. In a mount namespace of its own: the machine's stay as they are. The shell stays the first
# process of a process namespace: vsftpd would take whatever is orphaned there for its own.
NAMESPACE = """set -e
mount --bind {directory}/passwd /etc/passwd
mount --bind {directory}/shadow /etc/shadow
mount --bind {directory}/pam.d /etc/pam.d
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/vsftpd/empty
"$@"
exit $?
"""


class FileServer:
    """Started, stopped and started again on the same port; `folder` is what it writes to."""

    accounts = True  # it looks users up as the system does

    def __init__(self, lab):
        if os.geteuid() != 0:
            raise LabError("a file server with accounts of its own needs root, for `unshare --mount`")
        self.lab = lab
        self.directory = lab.path(f"fileserver-{type(self).__name__}")
        self.folder = self.directory / "home" / "db"
        self.folder.mkdir(parents=True)
        # Whoever serves it may pass through the lab's directory.
        for path in (lab.directory, self.directory):
            os.chmod(path, 0o755)
        for path in (self.directory / "home", self.folder):
            os.chown(path, UID, UID)
        self.port = free_port()
        self.process = None
        self.make_accounts()
        self.configure()

    def make_accounts(self):
        (self.directory / "passwd").write_text(
            pathlib.Path("/etc/passwd").read_text() +
            f"{USER}:x:{UID}:{UID}::{self.directory}/home:/bin/sh\n")
        hidden = run("openssl", "passwd", "-6", "-stdin", text_in=PASSWORD).strip()
        (self.directory / "shadow").write_text(f"{USER}:{hidden}:19000:0:99999:7:::\n")
        pam = self.directory / "pam.d"
        pam.mkdir()
        (pam / "fileserver").write_text("auth required pam_unix.so\naccount required pam_unix.so\n")

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def configure(self):
        pass

    def command(self):
        raise NotImplementedError

    def start(self):
        command = [str(word) for word in self.command()]
        if self.accounts:
            command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
                       NAMESPACE.format(directory=self.directory), "sh", *command]
        with open(self.directory / "log", "ab") as log:
            self.process = self.lab.spawn(*command, stdout=log, stderr=log)
        wait_for(f"{type(self).__name__} to listen", self.listens)
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise LabError(f"it ended:\n{(self.directory / 'log').read_text()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        """Its connections end with it: those with accounts serve each in a process of its own, which
        goes with the namespace."""
        if self.process is None:
            return
        if self.accounts:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait(10)
        self.process = None

    def names(self):
        return sorted(path.name for path in self.folder.iterdir())

    def read(self, name):
        return (self.folder / name).read_bytes()


class Vsftpd(FileServer):
    def configure(self):
        self.config = self.write("vsftpd.conf", f"""listen=YES
listen_address=127.0.0.1
listen_port={self.port}
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_umask=022
chroot_local_user=YES
allow_writeable_chroot=YES
pam_service_name=fileserver
check_shell=NO
secure_chroot_dir=/run/vsftpd/empty
xferlog_enable=NO
""")
        self.url = f"ftp://127.0.0.1:{self.port}/db"

    def command(self):
        return ["/usr/sbin/vsftpd", self.config]


class OpenSsh(FileServer):
    def configure(self):
        for name in ("host_key", "client_key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name)
        shutil.copy(self.directory / "client_key.pub", self.directory / "authorized_keys")
        self.config = self.write("sshd_config", f"""Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.directory}/host_key
PidFile none
AuthorizedKeysFile {self.directory}/authorized_keys
StrictModes no
UsePAM no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
""")
        self.url = f"sftp://127.0.0.1:{self.port}{self.folder}"
        kind, key, *_ = (self.directory / "host_key.pub").read_text().split()
        self.known_hosts = f"[127.0.0.1]:{self.port} {kind} {key}\n"

    def command(self):
        return ["/usr/sbin/sshd", "-D", "-e", "-f", self.config]


class Tftpd(FileServer):
    accounts = False

    def configure(self):
        self.folder.chmod(0o777)
        self.url = f"tftp://127.0.0.1:{self.port}/db"

    def command(self):
        return ["/usr/sbin/in.tftpd", "--listen", "--foreground", "--address",
                f"127.0.0.1:{self.port}", "--create", "--user", "nobody", "--secure",
                self.directory / "home"]

    def listens(self):
        if self.process.poll() is not None:
            raise LabError(f"it ended:\n{(self.directory / 'log').read_text()}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(1)
            probe.sendto(b"\0\1nothing\0octet\0", ("127.0.0.1", self.port))
            try:
                return probe.recv(512)[:2] == b"\0\5"  # it has no such file
            except OSError:
                return False


class Nginx(FileServer):
    """WebDAV's PUT; `https` is the same folder behind TLS, with a certificate of its own CA."""

    accounts = False

    def configure(self):
        self.tls_port = free_port()
        hidden = run("openssl", "passwd", "-apr1", "-stdin", text_in=PASSWORD).strip()
        self.write("users", f"{USER}:{hidden}\n")
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
            "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
            self.directory / "tls.key", "-out", self.directory / "tls.pem")
        (self.directory / "temp").mkdir()
        self.config = self.write("nginx.conf", f"""daemon off;
user root;
worker_processes 1;
pid {self.directory}/nginx.pid;
error_log stderr;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {self.directory}/temp;
  client_max_body_size 64m;
  server {{
    listen 127.0.0.1:{self.port};
    listen 127.0.0.1:{self.tls_port} ssl;
    ssl_certificate {self.directory}/tls.pem;
    ssl_certificate_key {self.directory}/tls.key;
    root {self.directory}/home;
    auth_basic files;
    auth_basic_user_file {self.directory}/users;
    dav_methods PUT;
    location /moved {{ return 302 http://127.0.0.1:{self.port}/db; }}
  }}
}}
""")
        self.url = f"http://127.0.0.1:{self.port}/db"
        self.tls_url = f"https://127.0.0.1:{self.tls_port}/db"

    def command(self):
        return ["/usr/sbin/nginx", "-p", self.directory, "-c", self.config, "-e", "stderr"]
