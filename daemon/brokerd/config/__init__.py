"""
Configuration: config.toml, the environment and systemd -> one frozen `Config`.

    load       find it, read it, check it
    settings   a TOML table -> a frozen Struct, all problems at once
    overrides  BROKERD_... variables
    wording    what is said of a key, in errors and in the reference
"""
