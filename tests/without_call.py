"""
Run a command that the kernel refuses one system call, with EPERM as under the shipped unit.

    python tests/without_call.py setpriority COMMAND ...

A seccomp filter does it, as systemd's SystemCallFilter= does; children inherit it. Sources:
seccomp(2), linux/filter.h, linux/seccomp.h.
"""

import ctypes
import errno
import os
import platform
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
NUMBERS = {"setpriority": {"x86_64": 141, "aarch64": 140}}


class Instruction(ctypes.Structure):
    """struct sock_filter."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jump_if", ctypes.c_uint8),
        ("jump_else", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction)))


def refuse(call: str) -> None:
    """Have the kernel refuse a system call to this process and its children, for ever."""
    instructions = (Instruction * 4)(
        Instruction(LOAD, 0, 0, 0),  # the number of the call
        Instruction(JUMP_IF_EQUAL, 0, 1, NUMBERS[call][platform.machine()]),
        Instruction(RETURN, 0, 0, REFUSE),
        Instruction(RETURN, 0, 0, ALLOW),
    )
    program = Program(len(instructions), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    for option in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*option) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    refuse(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
