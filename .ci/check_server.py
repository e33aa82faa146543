"""The review page under attack: half-open connections do not keep the program alive, and the mask is whole.

    check_server.py PROGRAM IMAGE MASK FOLDER

PROGRAM is `sam-med`, MASK a label map of IMAGE with a structure. Needs nothing but Python, on Linux or macOS. Writes to FOLDER.
"""

import gzip
import http.client
import json
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

ATTACKERS = 900
# What the program promises, in seconds, and how much later a busy machine may be.
HEADER, SHUTDOWN, MARGIN = 10, 5, 3


class Review:
    """The running program."""

    def __init__(self, program, image, mask, out):
        self.out, self.record = out, out.with_name(out.name.removesuffix(".nii.gz") + ".review.json")
        for path in (self.out, self.record):
            path.unlink(missing_ok=True)
        command = [program, "review", "--image", image, "--mask", mask, "--out", out]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)(/[0-9a-f]{64}/)", said)
        assert found, f"no address in {said!r}"
        self.port, self.path = int(found[1]), found[2]

    def ask(self, what, content=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if content is None:
            connection.request("GET", self.path + what)
        else:
            connection.request("POST", self.path + what, json.dumps(content), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        assert response.status == 200, f"{what}: {response.status} {answer}"
        return answer

    def empty_a_slice(self):
        """Decides on the first slice that shows something, so that there is something to save."""
        slices = self.ask("overview")["slices"]
        index = next(index for index, slice in enumerate(slices) if not slice["is_blank"])
        self.ask("decide", {"slice": index, "decision": "empty", "version": slices[index]["version"]})
        return index

    def half_open(self, count):
        """Connections that have sent one byte and send nothing more. The system may refuse some, if its queue is short."""
        sockets = []
        for _ in range(count):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", self.port))
            sockets.append(connection)
        sent, deadline = 0, time.monotonic() + 5
        waiting = {connection.fileno(): connection for connection in sockets}
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLOUT)
        while waiting and time.monotonic() < deadline:
            for number, events in poll.poll(500):
                poll.unregister(number)
                connection = waiting.pop(number)
                if events & select.POLLOUT and not events & (select.POLLERR | select.POLLHUP):
                    sent += connection.send(b"G")
        return sockets, sent

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def ended(self, seconds):
        """How long the program still runs, and its exit code."""
        start = time.monotonic()
        code = self.process.wait(timeout=seconds)
        return time.monotonic() - start, code

    def kill(self):
        self.process.kill()
        self.process.wait()


def check_mask(path, emptied):
    """A NIfTI file with all its voxels; gzip checks the sum of its bytes."""
    data = gzip.decompress(path.read_bytes())
    dim, (bits,), (offset,) = struct.unpack_from("<8h", data, 40), struct.unpack_from("<h", data, 72), struct.unpack_from("<f", data, 108)
    columns, rows, slices = dim[1:4]
    size = columns * rows * bits // 8
    assert len(data) == int(offset) + size * slices, f"{path} has {len(data)} bytes, dimensions {dim}"
    start = int(offset) + size * emptied
    assert not any(data[start : start + size]), f"slice {emptied} of {path} is not empty"


def check_folder(folder, *names):
    """Nothing unfinished is left."""
    left = sorted(path.name for path in folder.iterdir() if path.name not in names)
    assert not left, f"left in {folder}: {left}"


def check_attack(program, image, mask, folder):
    review = Review(program, image, mask, folder / "attacked.nii.gz")
    try:
        emptied = review.empty_a_slice()
        slow, _ = review.half_open(1)
        slow[0].settimeout(HEADER + MARGIN)
        start = time.monotonic()
        try:
            assert not slow[0].recv(1000), "a half-sent header is answered"
        except ConnectionResetError:
            pass
        closed = time.monotonic() - start
        sockets, sent = review.half_open(ATTACKERS)
        assert sent >= 64, f"only {sent} connections were opened"
        review.interrupt()
        seconds, code = review.ended(SHUTDOWN + MARGIN)
        assert code == 0, f"it ended with {code}"
        for connection in sockets:
            connection.close()
    finally:
        review.kill()
    check_mask(review.out, emptied)
    check_folder(folder, review.out.name, review.record.name)
    print(f"a half-sent header is cut off after {closed:.1f} s; with {sent} half-open connections the program ended in {seconds:.1f} s")


def check_second_interrupt(program, image, mask, folder):
    review = Review(program, image, mask, folder / "interrupted.nii.gz")
    try:
        emptied = review.empty_a_slice()
        # A request whose body does not come, without which the first interrupt would end the program before the second one came.
        held = socket.create_connection(("127.0.0.1", review.port))
        head = f"POST {review.path}save HTTP/1.1\r\nHost: 127.0.0.1:{review.port}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        held.sendall(head.encode())
        review.interrupt()
        deadline = time.monotonic() + 60
        # The record is published first, then the mask.
        while not review.out.exists():
            assert time.monotonic() < deadline and review.process.poll() is None, "the first interrupt does not save"
            time.sleep(0.01)
        review.interrupt()
        seconds, code = review.ended(MARGIN)
        assert code == 130, f"it ended with {code}"
        held.close()
    finally:
        review.kill()
    check_mask(review.out, emptied)
    json.loads(review.record.read_text())
    print(f"the second interrupt ended the program in {seconds:.2f} s")


def main(program, image, mask, folder):
    folder.mkdir(parents=True, exist_ok=True)
    check_folder(folder)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ATTACKERS + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
    check_attack(program, image, mask, folder)
    check_second_interrupt(program, image, mask, folder)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
