"""Decoders: several threads that meet a class for the first time together, in a process of its own."""

import subprocess
import sys

THREADS = """\
import sys, threading, types
from brokerd_adapters.kit.decoders import decoder

sys.setswitchinterval(1e-6)


def fresh(number):
    code = "from msgspec import Struct\\n"
    for depth in range(12):
        code += f"class Shape{depth}(Struct):\\n"
        code += f"    inner: list[Shape{depth - 1}]\\n" if depth else ""
        code += "    text: str\\n    number: int\\n"
    module = sys.modules[f"shapes{number}"] = types.ModuleType(f"shapes{number}")
    exec(code, module.__dict__)
    return module.Shape11


for number in range(100):
    kind, together, told = fresh(number), threading.Barrier(4), []

    def read():
        together.wait()
        told.append(decoder(kind).decode(b'{"inner":[],"text":"x","number":1}'))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [kind([], "x", 1)] * 4, told
    assert decoder(kind) is decoder(kind)
"""


def test_a_class_that_several_threads_meet_first_is_read_by_all_of_them() -> None:
    """With msgspec's own decoders, made by each thread, this ends by a segmentation fault."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", THREADS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
