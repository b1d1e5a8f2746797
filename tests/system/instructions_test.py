"""What an enrolment costs, counted in instructions by callgrind, beside what is recorded.

Keys, time and requests are the same in every run, and OpenSSL and the C library are shown a processor
that has what every processor of the architecture has: the numbers repeat, however busy the machine is.

    UMBRA_BUILD=build/release UMBRA_RECORD=1 python3 tests/system/instructions_test.py

records what it counts. A version of OpenSSL that nobody has recorded yet is held to the newest one that
somebody has, as closely.
"""

import glob
import os
import platform
import re
import ssl
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
KEYS = os.path.join(HERE, "..", "vectors", "instructions")
RECORDED = os.path.join(KEYS, "recorded.txt")
COUNT = 32  # OpenSSL makes new blinding every 32 operations
TOLERANCE = 0.05
PARTS = ("own", "openssl", "floor")


def version():
    return re.match(r"OpenSSL (\d+\.\d+\.\d+)", ssl.OPENSSL_VERSION).group(1)


def instructions(path):
    """Of one of callgrind's files: what was counted, and how many instructions in each object."""
    names, objects, current, inclusive, what, total = {}, {}, None, False, None, None
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if line.startswith("desc: Trigger: Client Request: "):
                what = line.rsplit(": ", 1)[1]
            elif line.startswith(("summary: ", "totals: ")):
                total = int(line.split()[1])
            elif line.startswith(("ob=", "cob=")):
                number, name = re.fullmatch(r"c?ob=(\(\d+\))(?: (.*))?", line).groups()
                if name:
                    names[number] = os.path.basename(name)
                if line.startswith("ob="):
                    current = names[number]
            elif line.startswith("calls="):
                inclusive = True  # the next line is the callee's, which has its own
            elif re.fullmatch(r"[+\-*\d]\S* \d+", line):
                if not inclusive:
                    objects[current] = objects.get(current, 0) + int(line.split()[1])
                inclusive = False
    if sum(objects.values()) != (total or 0):
        raise AssertionError("%s: the objects have %d instructions, all together %s" % (
            path, sum(objects.values()), total))
    return what, objects


def count():
    """Of one enrolment: instructions of its three private operations, of OpenSSL beyond them, and the rest."""
    environment = {
        "PATH": os.environ["PATH"],
        "OPENSSL_ia32cap": "~0xFFFFFFFF50000000:0",  # nor whose make it is
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + ",".join("-" + one for one in (
            "AVX512F", "AVX512VL", "AVX2", "AVX", "AVX_Fast_Unaligned_Load", "SSE4_2", "SSE4_1", "SSSE3", "ERMS",
            "FSRM", "BMI2", "MOVBE")),
    }
    with tempfile.TemporaryDirectory() as directory:
        environment["TMPDIR"] = directory
        out = os.path.join(directory, "out")
        program = os.path.join(os.environ.get("UMBRA_BUILD", "build/release"), "bench", "instructions")
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=" + out,
             program, "--keys", KEYS, "--count", str(COUNT)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if run.returncode != 0:
            raise AssertionError("the program that is measured has failed:\n" + run.stdout)
        spent = dict(instructions(path) for path in glob.glob(out + ".*"))
    crypto = {what: sum(n for name, n in objects.items() if name.startswith("libcrypto.so"))
              for what, objects in spent.items()}
    return {
        "own": (sum(spent["enrolments"].values()) - crypto["enrolments"]) // COUNT,
        "openssl": (crypto["enrolments"] - crypto["floor"]) // COUNT,
        "floor": crypto["floor"] // COUNT,
    }


def read_recorded():
    """Counts by architecture and version of OpenSSL."""
    recorded = {}
    with open(RECORDED, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                machine, openssl, *counts = line.split()
                recorded[machine, openssl] = dict(zip(PARTS, map(int, counts), strict=True))
    return recorded


def record(machine, openssl, counted):
    recorded = read_recorded()
    recorded[machine, openssl] = counted
    with open(RECORDED, encoding="utf-8") as lines:
        head = [line for line in lines if line.startswith("#")]
    with open(RECORDED, "w", encoding="utf-8") as out:
        out.writelines(head)
        for key, counts in sorted(recorded.items()):
            out.write(" ".join([*key, *(str(counts[part]) for part in PARTS)]) + "\n")


def compared_with(recorded, machine, openssl):
    """Which version's counts this version is held to; none if nobody has recorded this architecture."""
    known = [one for architecture, one in recorded if architecture == machine]
    if openssl in known:
        return openssl
    return max(known, key=lambda one: [int(number) for number in one.split(".")], default=None)


def changes(counted, recorded):
    """Those that are too large: in words."""
    return ["%s: %d instructions instead of %d, %+.1f %%" % (
        part, counted[part], recorded[part], 100 * (counted[part] / recorded[part] - 1))
        for part in PARTS if abs(counted[part] / recorded[part] - 1) >= TOLERANCE]


class Instructions(unittest.TestCase):
    def test_an_enrolment_costs_what_is_recorded(self):
        machine, openssl = platform.machine(), version()
        counted = count()
        said = "counted: %s; OpenSSL %s, %s" % (
            ", ".join("%s %d" % one for one in counted.items()), openssl, machine)
        print(said)
        if os.environ.get("UMBRA_RECORD"):
            record(machine, openssl, counted)
            return
        recorded = read_recorded()
        known = compared_with(recorded, machine, openssl)
        how = "%s\nIf it is meant to be so: UMBRA_BUILD=build/release UMBRA_RECORD=1 python3 " \
            "tests/system/instructions_test.py" % said
        self.assertIsNotNone(known, "nothing is recorded for %s\n%s" % (machine, how))
        if known != openssl:
            unknown = "nothing is recorded for OpenSSL %s: held to what is for %s" % (openssl, known)
            print(unknown)
            how = unknown + "\n" + how
        too_large = changes(counted, recorded[machine, known])
        if too_large:
            self.fail("\n".join(["what an enrolment costs has changed", *too_large, how]))

    def test_five_percent_of_any_part_is_too_much(self):
        recorded = dict.fromkeys(PARTS, 1_000_000)
        self.assertEqual(changes(recorded, recorded), [])
        for part in PARTS:
            for counted, told in ((1_050_000, "+5.0 %"), (950_000, "-5.0 %"), (2_000_000, "+100.0 %")):
                self.assertEqual(changes({**recorded, part: counted}, recorded),
                                 ["%s: %d instructions instead of 1000000, %s" % (part, counted, told)])
            self.assertEqual(changes({**recorded, part: 1_049_000}, recorded), [])

    def test_a_version_nobody_has_recorded_is_held_to_the_newest_that_somebody_has(self):
        recorded = dict.fromkeys([("x86_64", "3.0.9"), ("x86_64", "3.0.19"), ("aarch64", "3.5.0")])
        self.assertEqual(compared_with(recorded, "x86_64", "3.0.9"), "3.0.9")
        self.assertEqual(compared_with(recorded, "x86_64", "3.0.20"), "3.0.19")
        self.assertIsNone(compared_with(recorded, "riscv64", "3.0.19"))


if __name__ == "__main__":
    unittest.main()
