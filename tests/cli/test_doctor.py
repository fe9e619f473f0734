# SPDX-License-Identifier: Apache-2.0
"""`firesteel doctor`: what it finds of a machine, alone and under mpirun, and what it says where things are odd."""

import os
import pathlib
import shutil
import subprocess
import unittest

import support
from support import CliTest

CHECKS = ["mpi_library", "mpirun", "root", "slots", "shared_memory", "single_copy", "binding", "threads", "memory",
          "checkpoint_directory", "temporary_directory", "file_locking", "simd", "huge_pages"]


def can_mount():
    """Whether this user may mount in a namespace of its own."""
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True) \
        if shutil.which("unshare") else None
    return tried is not None and tried.returncode == 0


class Doctor(CliTest):
    def checks(self, result):
        return {check["name"]: check for check in result.json["checks"]}

    def healthy(self, *args, ranks=None, **env):
        return self.checks(self.succeed("doctor", "--json", *args, ranks=ranks, **env))

    def failing(self, result, name, *fragments):
        """Code 69, one message that names the check, and still the whole report."""
        self.assertEqual(result.code, 69, result)
        self.assertEqual([line for line in result.lines("firesteel: ") if name in line], result.lines("firesteel: "), result)
        self.assertEqual(len(result.lines("firesteel: ")), 1, result)
        self.assertEqual(result.json["status"], "failed")
        check = self.checks(result)[name]
        self.assertEqual(check["status"], "failed")
        self.assertTrue(check["remedy"])
        for fragment in fragments:
            self.assertIn(fragment, check["finding"] + check["remedy"])

    def in_namespace(self, script, *args):
        """Runs doctor after `script` has mounted things that only it sees."""
        if not can_mount():
            self.skipTest("this user may not mount")
        line = ["unshare", "-m", "bash", "-c", f'set -e; {script}\nexec "$@"', "bash", support.FIRESTEEL, "doctor", "--json", *args]
        return support.run_line(line, cwd=self.directory)

    def test_report(self):
        for ranks in (None, 2):
            result = self.succeed("doctor", ranks=ranks)
            lines = result.out.splitlines()
            self.assertEqual([line.split()[1] for line in lines], CHECKS)
            for line in lines:
                self.assertIn(line.split()[0], ("ok", "warning"), line)
                self.assertEqual("; remedy: " in line, not line.startswith("ok"), line)
            report = self.succeed("doctor", "--json", ranks=ranks).json
            self.assertEqual((report["command"], report["ranks"], report["hosts"]), ("doctor", ranks or 1, 1))
            self.assertEqual([check["name"] for check in report["checks"]], CHECKS)
            for check in report["checks"]:
                self.assertEqual(check["remedy"] is None, check["status"] == "ok", check)
        self.assertEqual(os.listdir(self.directory), [])

    def test_checkpoint_directory(self):
        check = self.healthy("--checkpoint", "saved/of/today")["checkpoint_directory"]
        self.assertIn("saved/of/today (to be made): writable", check["finding"])
        self.assertEqual(os.listdir(self.directory), [])
        self.write("file", "")
        for ranks in (None, 2):
            self.failing(self.run_here("doctor", "--json", "--checkpoint", "file/saved", ranks=ranks), "checkpoint_directory", "file")
        os.mkdir(self.path("saved"))
        for ranks in (2, 3):
            shared = self.healthy("--checkpoint", "saved", ranks=ranks)["checkpoint_shared"]
            self.assertEqual(shared["status"], "ok")
        self.assertEqual(os.listdir(self.path("saved")), [])

    def test_read_only_directory(self):
        os.mkdir(self.path("saved"))
        if os.geteuid() != 0:
            os.chmod(self.path("saved"), 0o555)
            result = self.run_here("doctor", "--json", "--checkpoint", "saved")
        else:
            result = self.in_namespace("mount -t tmpfs -o ro none saved", "--checkpoint", "saved")
        self.failing(result, "checkpoint_directory", "saved")
        self.assertEqual(self.checks(result)["file_locking"]["status"], "warning")

    def test_full_directories(self):
        result = self.in_namespace("mkdir saved small; mount -t tmpfs -o size=4m none saved; mount -t tmpfs -o size=64m none small;"
                                   "export TMPDIR=$PWD/small", "--checkpoint", "saved")
        self.failing(result, "checkpoint_directory", "4.0 MiB free")
        self.assertEqual(self.checks(result)["temporary_directory"]["status"], "warning")

    def test_a_temporary_directory_that_is_not_there(self):
        """Nobody makes it: what goes to scratch would end with 73."""
        for name in ("absent", "a.csv"):
            self.write("a.csv", "x\n1\n")
            result = self.run_here("doctor", "--json", TMPDIR=self.path(name))
            check = self.checks(result)["temporary_directory"]
            self.assertEqual(check["status"], "failed", result)
            self.assertIn(name, check["finding"])
            self.assertIn("make it, or name a directory", check["remedy"])

    def test_words(self):
        self.fail_with(64, ["doctor", "--input", "x.csv"], "--input")
        self.fail_with(64, ["doctor", "--threads", "0"], "--threads")
        self.fail_with(64, ["docter"], "did you mean 'doctor'?")
        self.assertIn("69", self.succeed("doctor", "--help").out)

    def test_threads(self):
        check = self.healthy("--threads", "500")["threads"]
        self.assertEqual(check["status"], "warning")
        self.assertIn("oversubscribed", check["finding"])
        self.assertIn("--threads", check["remedy"])
        self.assertEqual(self.healthy("--threads", "500")["binding"]["status"], "warning")
        self.assertEqual(self.healthy()["threads"]["status"], "ok")

    def test_binding(self):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("one CPU: nothing to be bound to")
        line = ["taskset", "-c", str(cpus[0]), *support.command(["doctor", "--json"])]
        checks = self.checks(support.run_line(line))
        self.assertIn(f"1 of {os.cpu_count()} CPU", checks["binding"]["finding"])
        self.assertIn("1 thread on 1 CPU", checks["threads"]["finding"])
        line = [support.MPIRUN, "-n", "1", "--bind-to", "core", *support.command(["doctor", "--json"])]
        bound = support.run_line(line, OMPI_MCA_hwloc_base_binding_policy="core")
        self.assertIn("--bind-to none", self.checks(bound)["binding"]["remedy"], bound)

    def test_root(self):
        check = self.healthy(OMPI_ALLOW_RUN_AS_ROOT="", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="")["root"]
        self.assertEqual(check["status"], "warning" if os.geteuid() == 0 else "ok")
        self.assertEqual(self.healthy()["root"]["status"], "ok")
        self.assertEqual(self.healthy(ranks=1)["root"]["status"], "ok")

    def test_mpirun_in_path(self):
        os.mkdir(self.path("bin"))
        for script, finding in (("echo 'mpirun (Open MPI) 9.8.7'", "9.8.7"), ("echo hello", "does not say"), ("exec sleep 1000", "does not say")):
            self.write("bin/mpirun", f"#!/bin/sh\n{script}\n")
            os.chmod(self.path("bin/mpirun"), 0o755)
            check = self.healthy(PATH=self.path("bin") + ":" + os.environ["PATH"])["mpirun"]
            self.assertEqual(check["status"], "warning")
            self.assertIn(finding, check["finding"])
            self.assertIn("--ranks", check["remedy"])
        self.assertIn("none in PATH", self.healthy(PATH="/nowhere")["mpirun"]["finding"])
        self.assertEqual(self.healthy(PATH=str(pathlib.Path(support.MPIRUN).parent))["mpirun"]["status"], "ok")

    def test_another_mpi_library(self):
        if not shutil.which("g++"):
            self.skipTest("no compiler here")
        self.write("other.c", '#include <string.h>\nint MPI_Get_library_version(char* text, int* length) {\n'
                              '  strcpy(text, "Open MPI v5.0.3, package: Debian");\n  *length = 32;\n  return 0;\n}\n')
        subprocess.run(["g++", "-x", "c", "-shared", "-fPIC", "-o", "other.so", "other.c"], cwd=self.directory, check=True)
        # The address sanitizer wants to be the first library unless it is told not to look.
        result = self.run_here("doctor", "--json", LD_PRELOAD=self.path("other.so"), ASAN_OPTIONS="verify_asan_link_order=0")
        self.failing(result, "mpi_library", "Open MPI 5.0.3 is loaded", "LD_LIBRARY_PATH")

    def test_the_worst_of_the_ranks(self):
        doctor = support.command(["doctor", "--json"])
        line = [support.MPIRUN, "--oversubscribe", "--bind-to", "none", "-n", "1", *doctor, ":", "-n", "2", "env", "FIRESTEEL_SIMD=abacus", *doctor]
        result = support.run_line(line)
        self.failing(result, "simd", f"rank 1 on {os.uname().nodename} (and 1 more): ", "abacus", "unset FIRESTEEL_SIMD")
        self.failing(self.run_here("doctor", "--json", FIRESTEEL_SIMD="abacus"), "simd", "abacus")

    def test_directories_that_are_not_shared(self):
        if not can_mount():
            self.skipTest("this user may not mount")
        os.mkdir(self.path("saved"))
        doctor = support.command(["doctor", "--json", "--checkpoint", "saved"])
        apart = ["unshare", "-m", "bash", "-c", 'mount -t tmpfs none saved && exec "$@"', "bash", *doctor]
        line = [support.MPIRUN, "--oversubscribe", "--bind-to", "none", "-n", "1", *doctor, ":", "-n", "1", *apart]
        self.failing(support.run_line(line, cwd=self.directory), "checkpoint_shared", "rank 1 on ", "file system that all hosts share")

    def test_small_or_no_shared_memory(self):
        self.failing(self.in_namespace("mount -t tmpfs -o size=1m none /dev/shm"), "shared_memory", "1.0 MiB free", "--shm-size")
        nothing = ("mkdir dev; mount -t tmpfs none dev; cd dev; for device in 'null c 1 3' 'zero c 1 5' 'random c 1 8' 'urandom c 1 9';"
                   "do mknod $device || { echo no mknod >&2; exit 77; }; done; chmod 666 *; cd ..; mount --bind dev /dev")
        result = self.in_namespace(nothing)
        if result.code == 77:
            self.skipTest("this user may not make devices")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.checks(result)["shared_memory"]["status"], "warning")

    def test_control_groups(self):
        """Limits as both versions of cgroups write them, and none."""
        nothing = self.in_namespace("mount -t tmpfs none /sys/fs/cgroup")
        self.assertEqual(nothing.code, 0, nothing)
        self.assertIn("no cgroup quota", self.checks(nothing)["threads"]["finding"])
        limits = ("mount -t tmpfs none /sys/fs/cgroup; (cd /sys/fs/cgroup; mkdir memory;"
                  "for directory in . memory; do for file in memory.max memory.limit_in_bytes; do echo 536870912 >$directory/$file; done;"
                  "for file in memory.current memory.usage_in_bytes; do echo 134217728 >$directory/$file; done; done;"
                  "echo '100000 100000' >cpu.max)")
        result = self.in_namespace(limits)
        self.assertEqual(result.code, 0, result)
        checks = self.checks(result)
        self.assertIn("a cgroup quota of 1 CPU", checks["threads"]["finding"])
        if pathlib.Path("/proc/self/cgroup").read_text().strip():
            self.assertEqual(checks["memory"]["status"], "warning")
            self.assertIn("384.0 MiB free of 512.0 MiB, limited by the cgroup", checks["memory"]["finding"])

    @unittest.skipIf(support.SANITIZED, "sanitizers reserve terabytes of address space: no ulimit -v fits them")
    def test_address_space(self):
        line = ["bash", "-c", 'ulimit -v 800000; exec "$@"', "bash", *support.command(["doctor", "--json", "--threads", "1"])]
        check = self.checks(support.run_line(line))["memory"]
        self.assertIn("of 781.2 MiB, limited by the limit ulimit -v", check["finding"])


if __name__ == "__main__":
    unittest.main()
