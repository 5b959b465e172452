"""Just enough of Marionette, Firefox's own remote control, to drive it: JSON over a socket."""
import json
import socket
import time


class Failed(Exception):
    """What Firefox answered instead of a result."""


class Firefox:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.unread = b""
        self.last = 0
        self._message()  # it says hello
        # A prompt stays until it is answered; a navigation does not wait for the page.
        self("WebDriver:NewSession", pageLoadStrategy="none", unhandledPromptBehavior="ignore")

    def _message(self):
        """The next message: LENGTH:JSON."""
        while b":" not in self.unread:
            self._read()
        length, _, self.unread = self.unread.partition(b":")
        while len(self.unread) < int(length):
            self._read()
        text, self.unread = self.unread[: int(length)], self.unread[int(length) :]
        return json.loads(text)

    def _read(self):
        some = self.socket.recv(1 << 16)
        if not some:
            raise Failed("Firefox hung up")
        self.unread += some

    def __call__(self, command, **parameters):
        self.last += 1
        text = json.dumps([0, self.last, command, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        while True:
            kind, number, error, result = self._message()
            if (kind, number) == (1, self.last):
                if error:
                    raise Failed(f"{error['error']}: {error['message']}")
                return result

    def chrome(self, script, *arguments):
        """Runs the body of an async function with the rights of Firefox itself; its result."""
        self("Marionette:SetContext", value="chrome")
        wrapped = f"""
            const given = [...arguments], done = given.pop();
            (async (...given) => {{ {script} }})(...given).then(
                result => done([result ?? null]), error => done(String(error)));"""
        answer = self("WebDriver:ExecuteAsyncScript", script=wrapped, args=arguments, sandbox="system")["value"]
        if answer is None:  # a dialog opened meanwhile
            raise Failed("unexpected alert open")
        if isinstance(answer, str):
            raise Failed(answer)
        return answer[0]

    def page(self, script, *arguments):
        self("Marionette:SetContext", value="content")
        return self("WebDriver:ExecuteScript", script=script, args=arguments)["value"]


def wait_for(what, ask, seconds=30):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.1)
    raise Failed(f"waited in vain for {what}")
