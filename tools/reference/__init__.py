"""docs/reference, made from the code: `make reference` writes the pages, and a test fails when one
is stale."""
