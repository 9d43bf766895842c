"""Change data capture: integration events leave by a table that Debezium reads from the WAL."""
