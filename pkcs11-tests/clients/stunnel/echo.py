#!/usr/bin/env python3
"""The service behind stunnel, and the one who uses it.

Usage: echo.py serve PORT    sends back what it gets, each byte turned upside down
       echo.py use PORT      sends two megabytes at once, reads them back, exits 1 if one byte is wrong
"""
import os
import socket
import socketserver
import sys
import threading

FLIP = bytes(255 - byte for byte in range(256))


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data.translate(FLIP))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def use(port):
    data = os.urandom(2_000_000)
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.settimeout(60)
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        back = b""
        while len(back) < len(data) and (part := connection.recv(65536)):
            back += part
        sender.join()
    sys.exit(0 if back == data.translate(FLIP) else f"{len(back)} bytes came back")


if sys.argv[1] == "serve":
    Server(("127.0.0.1", int(sys.argv[2])), Echo).serve_forever()
use(int(sys.argv[2]))
