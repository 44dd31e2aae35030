# SPDX-License-Identifier: BSD-2-Clause
"""Certificates for tests, made by openssl.

    authority = Authority(folder)
    authority.certificate("web", "DNS:web.test")    # folder/web.pem, web.key
"""
import os
import subprocess

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Authority:
    def __init__(self, folder):
        self.folder = str(folder)
        self.certificate("ca", None)
        self.path = self.file("ca.pem")

    def file(self, name):
        return os.path.join(self.folder, name)

    def run(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder,
                              stdin=subprocess.DEVNULL, timeout=60,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def certificate(self, name, names, days=30):
        """For `names` by this authority; None: signed by itself."""
        if names is None:
            self.run("req", "-x509", *KEY, "-subj", f"/CN={name}", "-days",
                     str(days), "-keyout", f"{name}.key",
                     "-out", f"{name}.pem")
            return
        with open(self.file(f"{name}.ext"), "w") as file:
            file.write(f"subjectAltName={names}\n")
        self.run("req", *KEY, "-subj", f"/CN={name}",
                 "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem",
                 "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days),
                 "-extfile", f"{name}.ext", "-out", f"{name}.pem")
