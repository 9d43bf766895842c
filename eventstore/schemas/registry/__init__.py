"""The schema registry: schemas by subject and version, under ids that messages carry.

It behaves as the Confluent Schema Registry does. documents: what a schema must be; rules,
json_rules: what is compatible; store: the tables; service: what clients may do; wire: an id before
a body; sources: where consumers look up an id; published: the schemas of this project.
"""
