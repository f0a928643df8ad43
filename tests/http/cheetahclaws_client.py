"""A client as the CheetahClaws note has it, over a Unix socket, with Python's standard library alone.

Usage: cheetahclaws_client.py SOCKET STATE_DIRECTORY, the token in DAEMON_TOKEN. It knows nothing of Postern: POST /rpc
with its version header, a client_id kept per kind, GET /events?since= as SSE. Prints one JSON object on success.
"""

import http.client
import json
import os
import socket
import sys

API_VERSION = "0"
KIND = "repl"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class Daemon:
    def __init__(self, path, state, token):
        self.path, self.token = path, token
        self.id_file = os.path.join(state, KIND + ".id")

    def headers(self):
        headers = {
            "Authorization": "Bearer " + self.token,
            "Cheetahclaws-Api-Version": API_VERSION,
            "X-Client-Kind": KIND,
        }
        if os.path.exists(self.id_file):
            with open(self.id_file) as file:
                headers["X-Client-Id"] = file.read().strip()
        return headers

    def keep_id(self, response):
        fresh = response.getheader("X-Client-Id")
        if fresh is not None:
            with open(os.open(self.id_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(fresh)

    def request(self, method, path, body=None, headers=None):
        connection = UnixConnection(self.path)
        connection.request(method, path, body, self.headers() if headers is None else headers)
        response = connection.getresponse()
        self.keep_id(response)
        return connection, response

    def get(self, path, headers=None):
        connection, response = self.request("GET", path, headers=headers)
        text = response.read().decode()
        connection.close()
        return response.status, text

    def rpc(self, method, params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        connection, response = self.request("POST", "/rpc", body)
        reply = json.loads(response.read())
        connection.close()
        if "error" in reply:
            raise RuntimeError(f"{method}: {response.status} {reply['error']}")
        return reply["result"]

    def events(self, since, count):
        connection, response = self.request("GET", f"/events?since={since}")
        assert response.getheader("Content-Type") == "text/event-stream", response.getheaders()
        found, fields = [], {}
        while len(found) < count:
            line = response.readline().decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if line != "":
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                found.append((fields["event"], int(fields["id"]), json.loads(fields["data"])))
                fields = {}
        connection.close()
        return found


def main():
    path, state = sys.argv[1:]
    daemon = Daemon(path, state, os.environ["DAEMON_TOKEN"])
    assert daemon.rpc("system.ping", {})["pong"] is True
    echo = daemon.rpc("echo.ping", {"hello": "world"})
    assert echo["pong"] is True and echo["echo"] == {"hello": "world"} and echo["ts"] > 1.6e9, echo

    for probe in ("/healthz", "/readyz", "/metrics"):
        status, text = daemon.get(probe)
        assert status == 200, (probe, status, text)
        assert daemon.get(probe, headers={})[0] == 401, probe
    assert json.loads(daemon.get("/healthz")[1])["status"] == "healthy"

    wrong = dict(daemon.headers(), **{"Cheetahclaws-Api-Version": "1"})
    assert daemon.get("/healthz", headers=wrong)[0] == 426

    sent = daemon.rpc("event.send", {"kind": "notify", "topic": "repl.said", "payload": {"text": "one"}})
    # As after a crash: another process with the id that this one kept.
    again = Daemon(path, state, daemon.token)
    more = again.rpc("event.send", {"kind": "notify", "topic": "repl.said", "payload": {"text": "two"}})
    events = again.events(sent["seq"] - 1, 2)
    assert [(event, seq) for event, seq, _ in events] == [("message", sent["seq"]), ("message", more["seq"])], events
    assert [data["envelope"]["payload"]["text"] for _, _, data in events] == ["one", "two"]
    originators = {data["envelope"]["originator"] for _, _, data in events}
    assert len(originators) == 1, originators
    print(json.dumps({"originator": originators.pop(), "last": more["seq"]}))


main()
