# SPDX-License-Identifier: Apache-2.0
"""Programs that are timed in turns, a slice of work each, while the others stand still.

A machine's memory may give half as much a minute later. Programs that take turns every second see
the same machine, which programs that run one after the other do not.
"""

import os
import signal
import subprocess
import tempfile


class SlicedProgram:
    """A program that says when each slice of its work begins or ends, and stands still after it.

    Slices must be apart by work that is not timed: the program is stopped there, some moments after
    it wrote the line.
    """

    def __init__(self, command: list, says: str, mark: str, **environment):
        """`says` is "stdout" or "stderr"; a line there that holds `mark` ends a slice."""
        self.mark = mark
        self.words = " ".join(map(str, command))
        self.other = tempfile.TemporaryFile("w+")
        pipes = {"stdout": self.other, "stderr": self.other} | {says: subprocess.PIPE}
        self.process = subprocess.Popen([str(part) for part in command], text=True, **pipes,
                                        errors="replace", env=os.environ | environment)
        self.lines = self.process.stdout if says == "stdout" else self.process.stderr
        self.said = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Ends what still runs or stands still."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def run_slice(self) -> str:
        """Goes on to the end of the slice; gives the line that said so."""
        self.process.send_signal(signal.SIGCONT)
        for line in self.lines:
            self.said.append(line)
            if self.mark in line:
                self.process.send_signal(signal.SIGSTOP)
                return line
        self.finish()
        raise RuntimeError(self.words + "\nended before its last slice")

    def finish(self) -> str:
        """Lets the program end; gives what it wrote where its marks are not."""
        self.process.send_signal(signal.SIGCONT)
        self.said += self.lines
        code = self.process.wait()
        self.other.seek(0)
        text = self.other.read()
        if code != 0:
            raise RuntimeError(f"{self.words}\n{''.join(self.said[-20:])}{text}")
        return text
