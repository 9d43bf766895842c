"""The log loses its tail under what runs on it: nothing that was remembered, promised or paid for goes on as if it had not."""
