"""What bad requests cost umbrad in CPU time: attack_cost.py [BUILD]. A figure, and no test."""

import pathlib
import sys

from umbra_lab import Lab, free_port, run, server_text

KEY = pathlib.Path(__file__).parent.parent / "vectors/weak_keys/rsa_8192.pem"

with Lab(sys.argv[1] if len(sys.argv) > 1 else "build/release") as lab:
    port = free_port()
    daemon = lab.daemon("ca", server_text(port))
    print("bad requests, CPU time of the server for each, a CA of RSA-2048\n")
    print(run(lab.build / "tests/cost", "--port", port, "--pid", daemon.process.pid, "--key", KEY,
              timeout=300))
