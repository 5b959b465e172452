#!/usr/bin/env python3
"""TLS connections, one request on each, counted; none may fail.

Usage: handshakes.py PORT CA.pem [--version 1.2|1.3] [--count N | --until FILE] [--threads N] [--ciphers LIST]
                     [--failures-allowed N]

Every connection is new and resumes nothing, so that each one is a signature by the server's key. It ends
after N connections, or when FILE appears. It prints `handshakes N, failed M`, each kind of failure once, and
exits 1 when more failed than allowed.
"""
import argparse
import collections
import pathlib
import socket
import ssl
import sys
import threading

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Load:
    def __init__(self, arguments):
        self.arguments = arguments
        self.context = ssl.create_default_context(cafile=arguments.ca)
        self.context.minimum_version = self.context.maximum_version = VERSIONS[arguments.version]
        if arguments.ciphers:
            self.context.set_ciphers(arguments.ciphers)
        self.lock = threading.Lock()
        self.started = self.good = 0
        self.failures = collections.Counter()

    def more(self):
        with self.lock:
            if sum(self.failures.values()) > self.arguments.failures_allowed + 8:
                return False  # enough to know; a server that hangs is not waited for a hundred times
            if self.arguments.until:
                return not pathlib.Path(self.arguments.until).exists()
            self.started += 1
            return self.started <= self.arguments.count

    def connect(self):
        with socket.create_connection(("127.0.0.1", self.arguments.port), 20) as plain:
            with self.context.wrap_socket(plain, server_hostname="localhost") as tls:
                tls.sendall(REQUEST)
                answer = b""
                while part := tls.recv(65536):
                    answer += part
        if not (answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"signed by the token\n")):
            raise ValueError(f"answer {answer[:60]!r}")

    def run(self):
        while self.more():
            try:
                self.connect()
            except Exception as error:
                with self.lock:
                    self.failures[f"{type(error).__name__}: {error}"] += 1
            else:
                with self.lock:
                    self.good += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("ca")
    parser.add_argument("--version", choices=VERSIONS, default="1.3")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--until")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--ciphers")
    parser.add_argument("--failures-allowed", type=int, default=0)
    load = Load(parser.parse_args())
    threads = [threading.Thread(target=load.run) for _ in range(load.arguments.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = sum(load.failures.values())
    print(f"handshakes {load.good}, failed {failed}")
    for text, times in load.failures.items():
        print(f"  {times} x {text}")
    sys.exit(0 if load.good and failed <= load.arguments.failures_allowed else 1)


main()
