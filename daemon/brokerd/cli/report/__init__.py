"""
The HTML report: answers of the daemon -> one page that needs nothing else.

    measures   orders -> each one's slippage, size and stages
    axes       numbers -> places in a picture, and ticks that a person reads
    svg        shapes and words, escaped
    charts     figures -> pictures
    tables     rows -> HTML tables
    page       all of it, with its style, light and dark

Pure: nothing here asks, reads a clock or writes a file. Floats are places in a picture; what is
told in words comes from exact digits.
"""
