#!/usr/bin/env python3
"""An HTTPS server that wants a certificate, and greets by it. Usage: server.py PORT CERTIFICATE KEY CLIENTS-CA"""
import http.server
import ssl
import sys

PAGE = """<!doctype html><meta charset=utf-8><title>Who are you?</title>
<body style="font: 28px sans-serif; margin: 3em"><h1>You are {name}</h1>
<p>Certificate number {number}, made by {issuer}<p>{version}, {cipher}"""


def common_name(name):
    return dict(pair for part in name for pair in part)["commonName"]


class Greeter(http.server.BaseHTTPRequestHandler):
    timeout = 20

    def do_GET(self):
        peer = self.connection.getpeercert()
        page = PAGE.format(name=common_name(peer["subject"]), issuer=common_name(peer["issuer"]),
                           number=peer["serialNumber"], version=self.connection.version(), cipher=self.connection.cipher()[0])
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(page.encode())


class Server(http.server.ThreadingHTTPServer):
    def finish_request(self, request, address):  # in the thread of the request: a slow handshake holds up nobody
        request.settimeout(20)
        with context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, address)


port, certificate, key, clients = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.load_verify_locations(clients)
context.verify_mode = ssl.CERT_REQUIRED
context.num_tickets = 0  # every visit proves again who it is
Server(("127.0.0.1", int(port)), Greeter).serve_forever()
