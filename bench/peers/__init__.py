"""The same orders on what a team might use instead, and on a prototype with the least that this
design costs."""
