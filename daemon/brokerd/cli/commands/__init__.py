"""
The commands, a module each: `add_options(parser)` declares, `run(control, options)` does.

A new one is a file here and a line in `arguments.COMMANDS`.
"""
