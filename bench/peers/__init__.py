"""The same orders on what a team might have used instead, and on the least that this design can
cost."""
