"""Talks to the servers that benchmarks time."""

import json
import os
import subprocess
import sys


class Program:
    """A program that answers one JSON line for each JSON line."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=os.environ | environment)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args[0]} ended without an answer")
        return json.loads(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait()
